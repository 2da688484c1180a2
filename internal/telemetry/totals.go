package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Totals are what an adapter's counters stand at: status says the same as the metrics because it reads the same.
type Totals struct{ Succeeded, Failed, Retries, LettersKept, LettersLost, BreakerOpens int64 }

// Totals reads the counters.
func (a *Adapter) Totals() Totals {
	return Totals{Succeeded: count(a.Success), Failed: count(a.Failure), Retries: count(a.Retries), LettersKept: count(a.LettersKept),
		LettersLost: count(a.LettersLost), BreakerOpens: count(a.Breaker["open"])}
}

func count(c prometheus.Counter) int64 {
	var now dto.Metric
	if c.Write(&now) != nil { // a counter has nothing that could fail
		return 0
	}
	return int64(now.GetCounter().GetValue())
}
