package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// watcher is the observing stage with what it publishes.
type watcher struct {
	t       testing.TB
	host    *Host
	metrics *telemetry.Metrics
	log     bytes.Buffer
	stage   Stage
}

func newWatcher(t testing.TB, edit func(*Settings)) *watcher {
	s := testSettings()
	s.Host.RateLimit = &RateLimit{Capacity: 1, RefillRate: 1, Per: "adapter"}
	if edit != nil {
		edit(s)
	}
	w := &watcher{t: t, host: testHost(t, "", s), metrics: telemetry.NewMetrics("v", "c")}
	w.stage = observe(s, w.host, Deps{Metrics: w.metrics, Log: slog.New(slog.NewJSONHandler(&w.log, nil))})
	return w
}

// sample is one number by name and labels: integration_requests_total{status=failure}.
func sample(t testing.TB, r *prometheus.Registry, series string) float64 {
	t.Helper()
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			text := ""
			for _, l := range m.GetLabel() {
				text += l.GetName() + "=" + l.GetValue() + ","
			}
			if labels == "" || strings.Contains(text, labels+",") {
				sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func (w *watcher) expect(series map[string]float64) {
	w.t.Helper()
	for s, want := range series {
		if got := sample(w.t, w.metrics.Registry, s); got != want {
			w.t.Errorf("%s is %v, want %v", s, got, want)
		}
	}
}

// line is the only line that was logged.
func (w *watcher) line() map[string]any {
	w.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.log.Bytes(), &m); err != nil {
		w.t.Fatalf("logged %q: %v", w.log.String(), err)
	}
	return m
}

func content(status int) Next {
	return func(*Exchange) (*wire.Response, error) { return &wire.Response{Status: status}, nil }
}

func fails(err error) Next { return func(*Exchange) (*wire.Response, error) { return nil, err } }

func TestRetriesThatWereNotMadeAreCountedByReason(t *testing.T) {
	for why, reason := range map[string]string{"budget": "budget", "deadline": "deadline", string(problem.CircuitOpen): "stopped", string(problem.RateLimited): "stopped"} {
		w := newWatcher(t, nil)
		x := testExchange(t, "GET", "/", "")
		x.RetriesEnded = why
		_, _ = w.stage(content(503))(x)
		w.expect(map[string]float64{"integration_retries_ended_total": 1, "integration_retries_ended_total{reason=" + reason + "}": 1})
	}
	w := newWatcher(t, nil)
	_, _ = w.stage(content(503))(testExchange(t, "GET", "/", ""))
	w.expect(map[string]float64{"integration_retries_ended_total": 0})
}

func TestEachOutcomeIsCountedOnceWithItsType(t *testing.T) {
	for name, c := range map[string]struct {
		next   Next
		kind   string // "" success
		status float64
		level  string
	}{
		"200":      {content(200), "", 200, "INFO"},
		"304":      {content(304), "", 304, "INFO"},
		"404":      {content(404), "client_error", 404, "WARN"},
		"429":      {content(429), "rate_limited", 429, "WARN"},
		"503":      {content(503), "server_error", 503, "WARN"},
		"network":  {fails(problem.New(problem.UpstreamUnreachable, "d")), "network", 502, "WARN"},
		"invalid":  {fails(problem.New(problem.BodyTooLarge, "d")), "validation", 413, "WARN"},
		"unknown":  {fails(problem.New(problem.OutcomeUnknown, "d")), "outcome_unknown", 409, "WARN"},
		"gone":     {fails(ErrCanceled), "canceled", 0, "WARN"},
		"a bug":    {func(*Exchange) (*wire.Response, error) { panic("a bug") }, "internal", 500, "ERROR"},
		"internal": {fails(errors.New("untyped")), "internal", 0, "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatcher(t, nil)
			_, err := w.stage(c.next)(testExchange(t, "POST", "/orders?token=hunter2", "hunter2"))
			series := map[string]float64{"integration_requests_total": 1, "integration_request_duration_seconds": 1}
			if c.kind == "" {
				series["integration_requests_total{status=success}"], series["integration_errors_total"] = 1, 0
			} else {
				series["integration_requests_total{status=failure}"], series["integration_errors_total"], series["integration_errors_total{error_type="+c.kind+"}"] = 1, 1, 1
			}
			w.expect(series)
			line := w.line()
			if line["status"] != c.status || line["level"] != c.level || line["path"] != "/orders" || line["correlation_id"] != "corr-1" || line["adapter_id"] != "erp-main" {
				t.Errorf("logged %v", line)
			}
			if got, _ := line["error_type"].(string); got != c.kind || strings.Contains(w.log.String(), "hunter2") {
				t.Errorf("logged %v", line)
			}
			if w.host.InFlight() != 0 {
				t.Errorf("%d in flight", w.host.InFlight())
			}
			if p, ok := err.(*problem.Problem); name == "a bug" && (!ok || p.Kind != problem.Internal || strings.Contains(p.Detail, "a bug") || !strings.Contains(p.Error(), "observe_test.go")) {
				t.Errorf("a bug is answered %v", err)
			}
		})
	}
}

func TestTheFactsOfAnExchangeArePublished(t *testing.T) {
	w := newWatcher(t, func(s *Settings) { s.Auth = &Auth{Bearer: "env:X"} })
	x := testExchange(t, "POST", "/", "")
	x.Attempts = []dlq.Attempt{{Error: "upstream-timeout", Sent: true}, {Status: 503}, {Status: 200}}
	x.LimitHits, x.LimitWait, x.Idempotency, x.LetterLost = 1, 5, "stored", true
	x.Tenant, x.User, x.TraceID, x.Operation, x.RetriesEnded, x.Unknown = "acme", "u", "t", "POST /", "budget", true
	x.StoreError, x.SpoolError = errors.New("store"), errors.New("spool")
	_, _ = w.stage(content(200))(x)
	w.expect(map[string]float64{"integration_retries_total": 2, "integration_attempts_total{outcome=answered}": 2,
		"integration_attempts_total{outcome=unanswered}": 1, "integration_rate_limit_decisions_total{decision=allowed}": 3,
		"integration_rate_limit_decisions_total{decision=refused}": 1, "integration_rate_limit_decisions_total{decision=waited}": 1,
		"integration_rate_limit_wait_seconds": 1, "integration_idempotency_outcomes_total{outcome=stored}": 1,
		"integration_letters_total{result=lost}": 1, "integration_secret_fetches_total{result=ok}": 1})
	line := w.line()
	for name, want := range map[string]any{"tenant_id": "acme", "user_id": "u", "trace_id": "t", "operation": "POST /", "idempotency": "stored", "level": "ERROR",
		"outcome_unknown": true, "retries_ended": "budget", "letter_lost": true, "store_error": "store", "spool_error": "spool", "attempts": 3.0} {
		if line[name] != want {
			t.Errorf("%s is logged as %v, want %v", name, line[name], want)
		}
	}
}

func TestEveryOutcomeOfAKeyHasACounter(t *testing.T) {
	for _, outcome := range telemetry.KeyOutcomes() {
		w, x := newWatcher(t, nil), testExchange(t, "POST", "/", "")
		x.Idempotency = outcome
		_, _ = w.stage(content(200))(x)
		w.expect(map[string]float64{"integration_idempotency_outcomes_total{outcome=" + outcome + "}": 1})
	}
}

func TestAStreamIsPublishedWhenItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		body    io.Reader
		leave   bool
		kind    string
		success float64
	}{
		"to its end":    {strings.NewReader("whole"), false, "", 1},
		"broken off":    {io.MultiReader(strings.NewReader("ha"), brokenBody{}), false, "network", 0},
		"left half way": {io.MultiReader(strings.NewReader("ha"), brokenBody{}), true, "canceled", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, x := newWatcher(t, func(s *Settings) { s.Host.Breaker.FailureThreshold = 1 }), testExchange(t, "GET", "/", "")
			cancel := cancelable(x)
			resp, err := w.stage(func(*Exchange) (*wire.Response, error) {
				return &wire.Response{Status: 200, Stream: io.NopCloser(c.body), Length: -1}, nil
			})(x)
			if err != nil || w.log.Len() != 0 || w.host.InFlight() != 1 {
				t.Fatalf("%v; logged %q, %d in flight before the stream ended", err, w.log.String(), w.host.InFlight())
			}
			if c.leave {
				cancel()
			}
			_, _ = io.Copy(io.Discard, resp.Stream)
			resp.Close()
			resp.Close()
			cancel()
			w.expect(map[string]float64{"integration_requests_total": 1, "integration_requests_total{status=success}": c.success})
			if got, _ := w.line()["error_type"].(string); got != c.kind || w.host.InFlight() != 0 {
				t.Errorf("logged %v, %d in flight", w.line(), w.host.InFlight())
			}
		})
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
