package telemetry

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// redisBuckets are in seconds; beyond a tenth the default budget is spent.
var redisBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1}

// Redis returns what shared.Config.Observe wants. Its series exist from then on: a sidecar without Redis has none.
func (m *Metrics) Redis() func(took time.Duration, err error) {
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "integration_redis_commands_total",
		Help: "Commands to Redis by result: ok, failed, or refused because Redis is down."}, []string{"result"})
	duration := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "integration_redis_command_duration_seconds",
		Help: "Time of commands to Redis, answered or not.", Buckets: redisBuckets})
	m.Registry.MustRegister(commands, duration)
	ok, failed, refused := commands.WithLabelValues("ok"), commands.WithLabelValues("failed"), commands.WithLabelValues("refused")
	return func(took time.Duration, err error) {
		switch {
		case errors.Is(err, shared.ErrDown):
			refused.Inc()
			return
		case err != nil:
			failed.Inc()
		default:
			ok.Inc()
		}
		duration.Observe(took.Seconds())
	}
}
