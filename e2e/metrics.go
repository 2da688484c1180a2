package e2e

import (
	"strconv"
	"strings"
	"testing"
)

// Metrics are the samples of one scrape by series, labels in alphabetical order as Prometheus clients write them:
// integration_errors_total{adapter_id="erp",error_type="network"}.
type Metrics map[string]float64

// Metrics scrapes the probes listener.
func (s *Sidecar) Metrics(t testing.TB) Metrics {
	t.Helper()
	a := s.Get(t, "http://"+s.Probes+"/metrics")
	a.WantStatus(t, 200)
	m := Metrics{}
	for line := range strings.Lines(a.Body) {
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || end < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			t.Fatalf("metrics line %q has no value", line)
		}
		m[line[:end]] = v
	}
	return m
}

// Want fails the test unless the series exists with this value.
func (m Metrics) Want(t testing.TB, series string, value float64) {
	t.Helper()
	got, ok := m[series]
	if !ok || got != value {
		t.Errorf("%s is %v (present: %v), want %v; there are:\n%s", series, got, ok, value, m.family(series))
	}
}

// family lists the series with the name of another.
func (m Metrics) family(series string) string {
	name, _, _ := strings.Cut(series, "{")
	var b strings.Builder
	for s, v := range m {
		if strings.HasPrefix(s, name) {
			b.WriteString("  " + s + " " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
		}
	}
	return b.String()
}

// BreakerState reads integration_circuit_breaker_state: 0 closed, 1 half-open, 2 open, -1 absent.
func (s *Sidecar) BreakerState(t testing.TB, adapterID string) float64 {
	t.Helper()
	v, ok := s.Metrics(t)[`integration_circuit_breaker_state{adapter_id="`+adapterID+`"}`]
	if !ok {
		return -1
	}
	return v
}
