//go:build e2e

package servers

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// rulesFolder holds the alert rules and the dashboard that are delivered.
var rulesFolder = filepath.Join("..", "..", "k8s", "observability")

func TestAlertRulesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}, {"test", "rules", "rules_slow_test.yaml"}} {
		cmd := exec.Command(program(t, "promtool"), args...)
		cmd.Dir = rulesFolder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// prometheus is a real one, which scrapes a sidecar twice a second.
type prometheus struct{ url string }

// startPrometheus runs one with the given rules; "": none.
func startPrometheus(t *testing.T, s *e2e.Sidecar, rules string) *prometheus {
	t.Helper()
	dir, address := t.TempDir(), e2e.FreeAddr(t)
	config := "global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }\n" +
		"scrape_configs: [{ job_name: sidecar, static_configs: [{ targets: [" + s.Probes + "] }] }]\n"
	if rules != "" {
		must(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(rules), 0o600))
		config += "rule_files: [rules.yaml]\n"
	}
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o600))
	serve(t, address, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	p := &prometheus{url: "http://" + address}
	e2e.Eventually(t, "Prometheus to be ready", func() bool {
		r, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// sampled is one value of a query with its labels.
type sampled struct {
	labels map[string]string
	value  float64
}

// get reads the data of one answer of the API.
func (p *prometheus) get(t *testing.T, path string, data any) error {
	t.Helper()
	r, err := http.Get(p.url + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %.300q (%w)", path, b, err)
	}
	return json.Unmarshal(answer.Data, data)
}

// query evaluates now.
func (p *prometheus) query(t *testing.T, expr string) ([]sampled, error) {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	err := p.get(t, "/api/v1/query?query="+url.QueryEscape(expr), &data)
	var all []sampled
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		v, parsed := strconv.ParseFloat(text, 64)
		if parsed != nil {
			return nil, parsed
		}
		all = append(all, sampled{r.Metric, v})
	}
	return all, err
}

// standIns answers for a Vault, a token endpoint and a collector of spans, which this test is not about.
func standIns(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			return // a collector that takes everything
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"t","token_type":"Bearer","expires_in":5,"data":{"ttl":3600,"renewable":false,"data":{"key":"k"},"metadata":{"version":1}}}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// startEverything is a sidecar in which all that can be seen is on, under the traffic of busy.
func startEverything(t *testing.T) *e2e.Sidecar {
	others, dir := standIns(t), t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "token"), []byte("t"), 0o600))
	flaky := e2e.NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h e2e.Hit) {
		if r.URL.Path != "/up" && h.N%3 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	return e2e.Start(t, e2e.Setup{Dir: dir,
		Top: "redis: { addresses: [" + startRedis(t).address + "] }\nvault: { address: " + others + ", auth: token_file, token_file: file:" + filepath.Join(dir, "token") + " }",
		Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + others},
		DLQ: "alerts: { webhook: " + others + " }\nredis: { stream: letters }",
		Adapters: e2e.Adapter("sales", flaky.URL, "auth: { bearer: vault:a#key }", "rate_limit: { capacity: 1, refill_rate: 20, max_wait: 5s }",
			"health: { path: /up, interval: 1s, timeout: 1s }", "delivery: on_request") +
			e2e.Adapter("erp", "http://"+e2e.FreeAddr(t), "breaker: { failure_threshold: 2, success_threshold: 1, reset_timeout: 100ms }",
				"auth: { oauth2: { token_url: "+others+", client_id: me, client_secret: vault:b#key } }")})
}

// busy makes calls of all kinds until the test ends.
func busy(t *testing.T, s *e2e.Sidecar) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; t.Context().Err() == nil; n++ {
			key := "X-Idempotency-Key: " + strconv.Itoa(n)
			_, _ = s.Try(t.Context(), "GET", "/sales/a", "")
			_, _ = s.Try(t.Context(), "POST", "/sales/b", "{}", key)
			_, _ = s.Try(t.Context(), "POST", "/sales/c", "{}", key, "Prefer: respond-async")
			_, _ = s.Try(t.Context(), "POST", "/erp/a", "{}", key)
		}
	}()
	t.Cleanup(func() { <-done })
}

// panel is what the test reads of the dashboard.
type panel struct {
	Title   string
	Type    string
	Targets []struct{ Expr string }
}

func dashboardPanels(t *testing.T) []panel {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(rulesFolder, "dashboard.json"))
	must(t, err)
	var d struct{ Panels []panel }
	must(t, json.Unmarshal(b, &d))
	return d.Panels
}

func TestEveryQueryOfTheDashboardShowsSomething(t *testing.T) {
	t.Parallel()
	s := startEverything(t)
	rules, err := os.ReadFile(filepath.Join(rulesFolder, "rules.yaml"))
	must(t, err)
	p := startPrometheus(t, s, string(rules))
	busy(t, s)
	var silent []string
	for _, panel := range dashboardPanels(t) {
		for _, target := range panel.Targets {
			silent = append(silent, strings.NewReplacer("$adapter", "sales|erp", "$instance", ".*", "$__rate_interval", "10s").Replace(target.Expr))
		}
	}
	if len(silent) < 40 {
		t.Errorf("only %d queries", len(silent))
	}
	for deadline := time.Now().Add(time.Minute); len(silent) > 0; {
		silent = slices.DeleteFunc(silent, func(expr string) bool { return p.shows(t, expr) })
		if time.Now().After(deadline) {
			t.Fatalf("show nothing:\n%s", strings.Join(silent, "\n"))
		}
	}
	p.wantHealthyRules(t)
	promtoolAccepts(t, s.Get(t, "http://"+s.Probes+"/metrics").Body)
}

// shows reports whether a query has a number for an answer.
func (p *prometheus) shows(t *testing.T, expr string) bool {
	t.Helper()
	got, err := p.query(t, expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return true
	}
	return slices.ContainsFunc(got, func(s sampled) bool { return !math.IsNaN(s.value) })
}

// wantHealthyRules fails the test when Prometheus cannot evaluate a rule.
func (p *prometheus) wantHealthyRules(t *testing.T) {
	t.Helper()
	var loaded struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	must(t, p.get(t, "/api/v1/rules", &loaded))
	n := 0
	for _, g := range loaded.Groups {
		for _, r := range g.Rules {
			if n++; r.Health != "ok" {
				t.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if n < 30 {
		t.Errorf("Prometheus has %d rules", n)
	}
}
