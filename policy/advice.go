package policy

import (
	"time"
)

// Advice is what a configuration means for one method, in words.
type Advice struct {
	Attempts int           // at most
	Latency  time.Duration // at most, until the application is answered
	Retried  bool          // whether a call that was sent and not answered is sent again
	Why      string
}

// Advise works out what settings mean for calls with a method.
func Advise(s *Settings, method string) Advice {
	plan := newRetryPlan(s)
	honoured := s.Idempotency != nil && s.Idempotency.Honoured
	a := Advice{Attempts: plan.MaxRetries + 1, Latency: min(plan.WorstCase(s.Timeout), s.Timeout.Total.D())}
	switch {
	case plan.MaxRetries == 0:
		a.Why = "retry is off for this call"
	case plan.methods[method]:
		a.Retried, a.Why = true, method+" is safe to send twice (retry.methods)"
	case isWrite(method) && honoured:
		a.Retried, a.Why = true, "the provider drops duplicates by key (idempotency.honoured) and every attempt carries the same key"
	default:
		a.Why = method + " may take effect twice and the provider does not honour idempotency keys: it is tried again only when nothing was sent, or after a 429"
	}
	return a
}
