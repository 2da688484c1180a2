package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fsm-integrations/sidecar/internal/config"
)

// metricsFile documents every metric. Its table is the last thing in it.
var metricsFile = filepath.Join("..", "..", "docs", "metrics.md")

const metricsHead = "|---|---|---|---|\n"

func TestMetricsAreDocumented(t *testing.T) {
	table := describe(t, everything(t).metrics.Registry)
	content, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, documented, found := strings.Cut(string(content), metricsHead)
	if !found {
		t.Fatalf("%s has no table", metricsFile)
	}
	if *update {
		if err := os.WriteFile(metricsFile, []byte(before+metricsHead+table), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if documented != table {
		t.Errorf("docs/metrics.md does not say what is exposed; go test ./cmd/sidecar -run TestMetricsAreDocumented -update writes it. It should be\n%s", table)
	}
}

// everything is a sidecar in which whatever can be on is on.
func everything(t *testing.T) *process {
	t.Helper()
	answer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"ttl":3600,"renewable":false,"data":{"key":"k"},"metadata":{"version":1}}}`)
	}))
	t.Cleanup(answer.Close)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc, err := config.Parse("test.yaml", fmt.Appendf(nil, `listen: { proxy: 127.0.0.1:0, admin: 127.0.0.1:0, probes: 127.0.0.1:0 }
redis: { addresses: [%q] }
vault: { address: %q, auth: token_file, token_file: %q }
telemetry: { otlp_endpoint: %q }
dlq: { dir: %q, alerts: { webhook: %q } }
adapters:
  sales:
    upstream: %q
    auth: { bearer: vault:a#key }
    rate_limit: {}
    health: { interval: 1s, timeout: 1s }
    delivery: on_request
`, miniredis.RunT(t).Addr(), answer.URL, "file:"+token, answer.URL, dir, answer.URL, answer.URL))
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(doc, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop(10 * time.Second) })
	return p
}

var descPattern = regexp.MustCompile(`^Desc\{fqName: "(integration_[a-z_]+)", help: "(.*?)", (?:unit: "", )?constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// describe is one row for each metric of ours that a registry may expose.
func describe(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	types := map[string]dto.MetricType{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		types[f.GetName()] = f.GetType()
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descs)
		close(descs)
	}()
	var rows []string
	for d := range descs {
		m := descPattern.FindStringSubmatch(d.String())
		if m == nil {
			continue
		}
		labels := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(strings.Trim(m[3]+","+m[4], ","), "")
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", m[1], kindOf(m[1], types), strings.ReplaceAll(labels, ",", ", "), m[2]))
		delete(types, m[1])
	}
	for name := range types {
		if strings.HasPrefix(name, "integration_") {
			t.Errorf("%s is exposed, but not described", name)
		}
	}
	slices.Sort(rows)
	return strings.Join(rows, "")
}

// kindOf is the type of a metric. Those that have no series yet are known by their names (promtool holds us to that).
func kindOf(name string, exposed map[string]dto.MetricType) string {
	kind, ok := exposed[name]
	switch {
	case ok:
		return strings.ToLower(kind.String())
	case strings.HasSuffix(name, "_total"):
		return "counter"
	}
	return "gauge"
}
