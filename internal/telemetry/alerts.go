package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Alerts returns what alert.Config.Observe wants. Its series exist from the first alert on.
func (m *Metrics) Alerts() func(target string, err error) {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "integration_alerts_sent_total",
		Help: "Requests to alert targets by target (alertmanager, webhook) and result: ok or failed."}, []string{"target", "result"})
	m.Registry.MustRegister(sent)
	return func(target string, err error) {
		result := "ok"
		if err != nil {
			result = "failed"
		}
		sent.WithLabelValues(target, result).Inc()
	}
}
