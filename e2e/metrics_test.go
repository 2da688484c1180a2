package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMetricsCountWhatHappened(t *testing.T) {
	t.Parallel()
	ok, flaky, bad := NewUpstream(t, OK("ok")), NewUpstream(t, Status(503), OK("ok")), NewUpstream(t, Status(500))
	missing := NewUpstream(t, Status(404))
	s := Start(t, Setup{Adapters: Adapter("ok", ok.URL, "id: ok-id") + Adapter("flaky", flaky.URL) + Adapter("bad", bad.URL, breakerPolicy(3, 1, time.Minute)) +
		Adapter("missing", missing.URL) + Adapter("gone", "http://"+FreeAddr(t), "retry: off")})
	private := []string{"X-Tenant-ID: tenant-canary", "X-User-ID: user-canary", "X-Idempotency-Key: key-canary", "X-Correlation-ID: corr-canary"}
	call := func(method, target string, n int) {
		for range n {
			s.Do(t, method, target, "", private...)
		}
	}
	call(http.MethodGet, "/ok/path-canary?q=query-canary", 3)
	call(http.MethodGet, "/flaky/a", 1)
	call(http.MethodPost, "/bad/a", 3)
	call(http.MethodGet, "/bad/a", 2) // meet the open breaker
	call(http.MethodGet, "/missing/a", 1)
	call(http.MethodGet, "/gone/a", 1)
	m := s.Metrics(t)
	for series, want := range map[string]float64{
		`integration_requests_total{adapter_id="ok-id",status="success"}`:           3,
		`integration_requests_total{adapter_id="ok-id",status="failure"}`:           0,
		`integration_requests_total{adapter_id="flaky",status="success"}`:           1,
		`integration_requests_total{adapter_id="bad",status="failure"}`:             5,
		`integration_requests_total{adapter_id="missing",status="failure"}`:         1,
		`integration_request_duration_seconds_count{adapter_id="ok-id"}`:            3,
		`integration_request_duration_seconds_bucket{adapter_id="ok-id",le="+Inf"}`: 3,
		`integration_errors_total{adapter_id="bad",error_type="server_error"}`:      3,
		`integration_errors_total{adapter_id="bad",error_type="circuit_open"}`:      2,
		`integration_errors_total{adapter_id="missing",error_type="client_error"}`:  1,
		`integration_errors_total{adapter_id="gone",error_type="network"}`:          1,
		`integration_circuit_breaker_state{adapter_id="ok-id"}`:                     0,
		`integration_circuit_breaker_state{adapter_id="bad"}`:                       2,
		`integration_retries_total{adapter_id="flaky"}`:                             1,
		`integration_retries_total{adapter_id="ok-id"}`:                             0,
		reloadSuccess: 1,
	} {
		m.Want(t, series, want)
	}
	for _, le := range []string{"0.1", "0.5", "1", "2", "5", "10", "30"} {
		m.Want(t, fmt.Sprintf(`integration_request_duration_seconds_bucket{adapter_id="ok-id",le="%s"}`, le), 3)
	}
	wantPoorLabels(t, m)
}

var label = regexp.MustCompile(`[{,]([a-z_]+)="([^"]*)"`)

// wantPoorLabels fails the test when a label could grow without bound.
func wantPoorLabels(t *testing.T, m Metrics) {
	t.Helper()
	types := []string{"validation", "client_error", "rate_limited", "server_error", "network", "timeout", "circuit_open", "outcome_unknown", "partial_failure",
		"credentials", "idempotency", "canceled", "internal"}
	for series := range m {
		if strings.Contains(series, "canary") {
			t.Errorf("%s: a label holds something of a call", series)
		}
		for _, l := range label.FindAllStringSubmatch(series, -1) {
			if slices.Contains([]string{"tenant", "tenant_id", "user", "user_id", "key", "path", "url", "correlation_id", "trace_id"}, l[1]) {
				t.Errorf("%s: the label %s is of a call", series, l[1])
			}
			if l[1] == "error_type" && !slices.Contains(types, l[2]) {
				t.Errorf("%s: error_type is none of %v", series, types)
			}
		}
	}
}

func TestEveryFamilyOfTheContractIsThere(t *testing.T) {
	t.Parallel()
	bad := NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", bad.URL, "rate_limit: { capacity: 100, refill_rate: 10 }")})
	s.Post(t, "/sales/a", "{}")
	text := s.Get(t, "http://"+s.Probes+"/metrics").Body
	for what, pattern := range map[string]string{
		"attempts": `^integration_\w*attempt`, "rate limit decisions": `^integration_\w*rate_limit`, "idempotency outcomes": `^integration_\w*idempotency`,
		"letters by state": `^integration_\w+\{[^}]*state="dead"[^}]*\} 1$`, "spool bytes": `^integration_\w*spool\w*bytes`, "oldest letter": `^integration_\w*oldest`,
		"last reload": `^` + reloadSuccess + ` 1$`, "reload time": `^integration_config_last_reload\w*(seconds|time)\w* [0-9.e+]+$`, "in flight": `^integration_\w*in_?flight`,
		"build info": `^integration_\w*build_info\{[^}]*version="`, "secret fetches": `^integration_\w*secret`,
	} {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(text) {
			t.Errorf("no metric of %s (%s)", what, pattern)
		}
	}
}

func TestHealthHasTheSpecificationsShape(t *testing.T) {
	t.Parallel()
	ok, bad := NewUpstream(t, OK("ok")), NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("ok", ok.URL, "id: ok-id") + Adapter("bad", bad.URL, breakerPolicy(1, 1, time.Minute))})
	s.Get(t, "/ok/a")
	read := func() (status string, checks map[string]map[string]any) {
		var h struct {
			Status    string
			Checks    map[string]map[string]any
			Timestamp time.Time
		}
		a := s.Get(t, "http://"+s.Probes+"/health")
		if err := json.Unmarshal([]byte(a.Body), &h); err != nil || time.Since(h.Timestamp) > time.Minute {
			t.Fatalf("/health is %q (%v), want JSON with the time just now", a.Body, err)
		}
		return h.Status, h.Checks
	}
	status, checks := read()
	if status != "healthy" || len(checks) != 2 || checks["ok-id"]["status"] != "pass" {
		t.Errorf("health %s %v, want healthy and a pass for each adapter's id", status, checks)
	}
	for _, field := range []string{"status", "latency", "message"} {
		if _, ok := checks["ok-id"][field]; !ok {
			t.Errorf("a check has no %s: %v", field, checks["ok-id"])
		}
	}
	s.Get(t, "/bad/a").WantStatus(t, 500)
	status, checks = read()
	if status != "degraded" || checks["bad"]["status"] != "fail" || checks["bad"]["message"] == "" || checks["ok-id"]["status"] != "pass" {
		t.Errorf("health %s %v with one open breaker, want degraded and a fail with its reason", status, checks)
	}
	s.Get(t, "http://"+s.Probes+"/readyz").WantStatus(t, 200) // a sick provider never takes the pod out of service
	if r := s.Command(t, "health"); r.Code != 0 {
		t.Errorf("sidecar health ends with code %d, want 0", r.Code)
	}
}

func TestProbesAreReadOnly(t *testing.T) {
	t.Parallel()
	s := Start(t, Setup{Adapters: Adapter("sales", "http://"+FreeAddr(t))})
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/health"} {
		s.Get(t, "http://"+s.Probes+path).WantStatus(t, 200)
		if a := s.Do(t, http.MethodPost, "http://"+s.Probes+path, "x"); a.Status != 405 {
			t.Errorf("POST %s on the probes listener: %d, want 405", path, a.Status)
		}
	}
	for _, path := range []string{"/api/v1/letters", "/api/v1/status", "/debug/pprof/", "/sales/a"} {
		if a := s.Get(t, "http://"+s.Probes+path); a.Status != 404 {
			t.Errorf("GET %s on the probes listener: %d, want 404", path, a.Status)
		}
	}
}
