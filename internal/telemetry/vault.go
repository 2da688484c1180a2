package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Vault returns what vault.Config.Observe wants. Its series exist from then on: a sidecar without Vault has none.
func (m *Metrics) Vault(results []string) func(result string) {
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "integration_vault_fetches_total",
		Help: "Secrets asked for from Vault by result: ok, denied, absent, login_refused, sealed, unreachable or unwell."}, []string{"result"})
	m.Registry.MustRegister(fetches)
	counters := make(map[string]prometheus.Counter, len(results))
	for _, result := range results {
		counters[result] = fetches.WithLabelValues(result)
	}
	return func(result string) { counters[result].Inc() }
}
