//go:build e2e

package servers

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

const (
	appSpan     = "00f067aa0ba902b7"
	appendedTo  = "-" + appSpan + "-01" // a recorded call's traceparent, after the trace id
	canaryValue = "canary-s3cret"
)

// traceNumber is a trace id of a test's own.
func traceNumber(n int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e%04x", n) }

func TestACollectorGetsTheTreeOfARetriedCall(t *testing.T) {
	t.Parallel()
	collector := startOtelcol(t)
	up := e2e.NewUpstream(t, e2e.Status(503), e2e.Reset, e2e.OK("answer-canary"))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL, "id: sales-id", "version: 2.1.0", "idempotency: { honoured: true }",
		"sign: { secret: env:SIGN_KEY }", "auth: { bearer: env:TOKEN }", "operations:\n  - match: { method: POST, path: \"/orders/{id}\" }"),
		Env: collector.environment("OTEL_SERVICE_NAME=orders", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,service.name=not-this",
			"SIGN_KEY="+canaryValue+"-1", "TOKEN="+canaryValue+"-2")})
	trace := traceNumber(1)
	a := s.Post(t, "/sales/orders/42?token="+canaryValue+"-3&page=2", `{"card":"`+canaryValue+`-4"}`, "X-Idempotency-Key: "+canaryValue+"-5",
		"traceparent: 00-"+trace+appendedTo, "tracestate: vendor=x", "baggage: plan="+canaryValue+"-6", "X-Correlation-ID: corr-1", "X-Tenant-ID: acme",
		"Authorization: Bearer "+canaryValue+"-7", "X-User-ID: "+canaryValue+"-8", "Cookie: "+canaryValue+"-9")
	a.WantStatus(t, 200)
	spans := collector.await(trace, 6) // the exchange, three attempts, the two delays between them

	whole := named(t, spans, "integration.execute", 0)
	whole.wantAttributes(t, map[string]string{"adapter.id": "sales-id", "adapter.version": "2.1.0", "correlation.id": "corr-1", "tenant.id": "acme",
		"integration.operation": "POST /orders/{id}", "integration.attempts": "3", "http.request.method": "POST", "url.path": "/orders/42", "http.response.status_code": "200", "error.type": ""})
	if whole.parent != appSpan || whole.kind != "Server" || whole.status != "Unset" || whole.state != "vendor=x" {
		t.Errorf("the exchange is %+v", whole)
	}
	for name, want := range map[string]string{"service.name": "orders", "deployment.environment.name": "test", "telemetry.sdk.language": "go"} {
		if got := whole.resource[name]; got != want {
			t.Errorf("the resource's %s is %q, want %q", name, got, want)
		}
	}
	host, port, _ := strings.Cut(up.Address(), ":")
	for i, hit := range up.WantCount(t, 3) {
		attempt := named(t, spans, "POST /orders/{id}", i)
		attempt.wantAttributes(t, map[string]string{"http.request.method": "POST", "server.address": host, "server.port": port,
			"url.full": up.URL + "/orders/42?token=REDACTED&page=REDACTED", "url.template": "/orders/{id}",
			"http.request.resend_count": []string{"", "1", "2"}[i], "http.response.status_code": []string{"503", "", "200"}[i],
			"network.protocol.version": []string{"1.1", "", "1.1"}[i], "error.type": []string{"503", "connection_terminated", ""}[i]})
		if attempt.parent != whole.id || attempt.kind != "Client" || attempt.status != []string{"Error", "Error", "Unset"}[i] {
			t.Errorf("attempt %d is %+v", i+1, attempt)
		}
		if attempt.start.Before(whole.start) || attempt.end.After(whole.end) || attempt.start.IsZero() {
			t.Errorf("attempt %d lasts from %s to %s, the exchange from %s to %s", i+1, attempt.start, attempt.end, whole.start, whole.end)
		}
		if got, want := hit.Header.Get("Traceparent"), "00-"+trace+"-"+attempt.id+"-01"; got != want || hit.Header.Get("Tracestate") != "vendor=x" || hit.Header.Get("Baggage") != "" {
			t.Errorf("attempt %d was told %s, %q, baggage %q; want %s", i+1, got, hit.Header.Get("Tracestate"), hit.Header.Get("Baggage"), want)
		}
	}
	if wait := named(t, spans, "wait.retry", 1); wait.parent != whole.id || wait.end.Sub(wait.start) < 10*time.Millisecond {
		t.Errorf("the second delay is %+v", wait)
	}
	if out := collector.out.String(); strings.Contains(out, canaryValue) || strings.Contains(out, "answer-canary") {
		t.Errorf("the collector was sent a secret:\n%s", out)
	}
	wantLoggedSpan(t, s, "corr-1", trace, whole.id)
}

// wantLoggedSpan fails the test unless the line of the exchange names its span.
func wantLoggedSpan(t *testing.T, s *e2e.Sidecar, correlation, trace, span string) {
	t.Helper()
	for line := range strings.Lines(s.Log.String()) {
		var l struct {
			Msg, CorrelationID, TraceID, SpanID string
		}
		line = strings.NewReplacer(`"correlation_id"`, `"CorrelationID"`, `"trace_id"`, `"TraceID"`, `"span_id"`, `"SpanID"`).Replace(line)
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "exchange" && l.CorrelationID == correlation {
			if l.TraceID != trace || l.SpanID != span {
				t.Errorf("the line is of trace %s, span %s; want %s, %s", l.TraceID, l.SpanID, trace, span)
			}
			return
		}
	}
	t.Errorf("there is no line of exchange %s", correlation)
}

func TestACollectorGetsTheWaits(t *testing.T) {
	t.Parallel()
	collector, r := startOtelcol(t), startRedis(t)
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+canaryValue+`","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(tokens.Close)
	gate := e2e.NewGate(t)
	up := e2e.NewUpstream(t, gate.Hold(e2e.OK("")), e2e.OK(""))
	s := e2e.Start(t, e2e.Setup{Top: "redis: { addresses: [" + r.address + "], budget: 5s }", Env: collector.environment("SECRET=" + canaryValue),
		Adapters: e2e.Adapter("sales", up.URL, "rate_limit: { capacity: 1, refill_rate: 5, max_wait: 10s }",
			"auth: { oauth2: { token_url: "+tokens.URL+"/token, client_id: fsm, client_secret: env:SECRET } }")})
	post := func(trace, key string) {
		s.Post(t, "/sales/a", "{}", "X-Idempotency-Key: "+key, "traceparent: 00-"+trace+appendedTo).WantStatus(t, 200)
	}
	var calls sync.WaitGroup
	calls.Go(func() { post(traceNumber(1), "k1") })
	gate.WaitEntered(t) // the token is fetched, the token of the limit spent
	calls.Go(func() { post(traceNumber(2), "k1") })
	post(traceNumber(3), "k2") // meanwhile waits for the limit
	waits := collectWaits(t, collector, traceNumber(3), "wait.rate_limit")
	if w := waits["wait.rate_limit"]; w.end.Sub(w.start) <= 0 {
		t.Errorf("the wait for the limit is %+v", w)
	}
	gate.Open()
	calls.Wait()
	collectWaits(t, collector, traceNumber(1), "wait.token", "wait.redis")
	if w := collectWaits(t, collector, traceNumber(2), "wait.in_flight")["wait.in_flight"]; w.end.Sub(w.start) <= 0 {
		t.Errorf("the wait for the other call is %+v", w)
	}
	if strings.Contains(collector.out.String(), canaryValue) {
		t.Error("the collector was sent a secret")
	}
}

// collectWaits waits for spans of these names in a trace, which all stand under its exchange.
func collectWaits(t *testing.T, c *otelcol, trace string, names ...string) map[string]*otelSpan {
	t.Helper()
	found := map[string]*otelSpan{}
	e2e.Eventually(t, strings.Join(names, " and "), func() bool {
		parent := ""
		for _, s := range c.spans() {
			if s.trace == trace {
				found[s.name] = s
			}
			if s.trace == trace && s.name == "integration.execute" {
				parent = s.id
			}
		}
		for _, name := range names {
			if found[name] == nil || found[name].parent != parent {
				return false
			}
		}
		return true
	})
	return found
}

func TestACollectorGetsWhatWasDecidedToBeRecorded(t *testing.T) {
	t.Parallel()
	collector := startOtelcol(t)
	up := e2e.NewUpstream(t, e2e.OK(""))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL), Telemetry: "otlp_endpoint: \"http://" + collector.address + "\", sample_ratio: 0,",
		Env: []string{"OTEL_BSP_SCHEDULE_DELAY=50"}})
	s.Get(t, "/sales/a", "traceparent: 00-"+traceNumber(1)+"-"+appSpan+"-00").WantStatus(t, 200)
	if got, want := up.Last(t).Header.Get("Traceparent"), "00-"+traceNumber(1)+"-"+appSpan+"-00"; got != want {
		t.Errorf("an unrecorded trace goes on as %s, want %s", got, want)
	}
	s.Get(t, "/sales/a").WantStatus(t, 200)
	if got := up.Last(t).Header.Get("Traceparent"); !strings.HasPrefix(got, "00-") || !strings.HasSuffix(got, "-02") || len(got) != 55 {
		t.Errorf("a new trace that is not recorded goes on as %s", got)
	}
	s.Get(t, "/sales/a", "traceparent: 00-"+traceNumber(2)+appendedTo).WantStatus(t, 200)
	collector.await(traceNumber(2), 2)
	if n := len(collector.spans()); n != 2 {
		t.Errorf("%d spans arrived, want the two of the recorded trace", n)
	}
	more := s.Setup
	more.Telemetry = strings.Replace(more.Telemetry, "sample_ratio: 0", "sample_ratio: 1", 1)
	s.Write(more)
	s.Hangup()
	e2e.Eventually(t, "new traces to be recorded", func() bool {
		s.Get(t, "/sales/a").WantStatus(t, 200)
		return strings.HasSuffix(up.Last(t).Header.Get("Traceparent"), "-03")
	})
}

// A collector that is not there costs spans and nothing else; one that comes later gets those from then on, and the
// last ones before the sidecar ends.
func TestACollectorMayComeLate(t *testing.T) {
	t.Parallel()
	collector := newOtelcol(t)
	up := e2e.NewUpstream(t, e2e.OK(""))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL), Env: collector.environment()})
	for range 20 {
		s.Get(t, "/sales/a").WantStatus(t, 200)
	}
	const failed = `integration_spans_total{result="failed"}`
	e2e.Eventually(t, "spans to be given up", func() bool { return s.Metrics(t)[failed] == 40 })
	collector.launch()
	s.Get(t, "/sales/a", "traceparent: 00-"+traceNumber(1)+appendedTo).WantStatus(t, 200)
	collector.await(traceNumber(1), 2)
	e2e.Eventually(t, "the log to tell of both", func() bool {
		return strings.Count(s.Log.String(), "spans could not be sent") == 1 && strings.Contains(s.Log.String(), "spans are sent again")
	})
	s.Metrics(t).Want(t, `integration_spans_total{result="dropped"}`, 0)

	slow := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL), Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector.address, "OTEL_BSP_SCHEDULE_DELAY=3600000"}})
	slow.Get(t, "/sales/a", "traceparent: 00-"+traceNumber(2)+appendedTo).WantStatus(t, 200)
	slow.Term()
	if code := slow.Wait(time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	collector.await(traceNumber(2), 2)
}

func TestACollectorGetsLinksOfWhatIsSentLater(t *testing.T) {
	t.Parallel()
	collector := startOtelcol(t)
	up := e2e.NewUpstream(t, e2e.Status(400))
	s := e2e.Start(t, e2e.Setup{Env: collector.environment(), Adapters: e2e.Adapter("sales", up.URL, "delivery: async")})
	s.Post(t, "/sales/a", "{}", "traceparent: 00-"+traceNumber(1)+appendedTo).WantStatus(t, 202)
	accepting := named(t, collector.await(traceNumber(1), 1), "integration.execute", 0)
	later := linked(t, collector, accepting)
	later.wantAttributes(t, map[string]string{"integration.exchange_id": accepting.attributes["integration.exchange_id"], "http.response.status_code": "400"})

	broken := e2e.NewUpstream(t, e2e.Status(503), e2e.OK(""))
	again := e2e.Start(t, e2e.Setup{Env: collector.environment(), Adapters: e2e.Adapter("erp", broken.URL, "retry: off", "idempotency: { honoured: true }")})
	a := again.Post(t, "/erp/a", "{}", "traceparent: 00-"+traceNumber(2)+appendedTo)
	a.WantStatus(t, 503)
	failed := named(t, collector.await(traceNumber(2), 2), "integration.execute", 0)
	failed.wantAttributes(t, map[string]string{"integration.letter_id": a.LetterID(), "error.type": "server_error"})
	again.MustCommand(t, "dlq", "replay", a.LetterID())
	if replay := linked(t, collector, failed); !strings.Contains(broken.Last(t).Header.Get("Traceparent"), replay.trace) || replay.kind != "Internal" {
		t.Errorf("the replay is %+v, the external system was told %s", replay, broken.Last(t).Header.Get("Traceparent"))
	}
}

// linked waits for an exchange of another trace that has a link to this one.
func linked(t *testing.T, c *otelcol, to *otelSpan) (found *otelSpan) {
	t.Helper()
	e2e.Eventually(t, "a span with a link to "+to.trace, func() bool {
		for _, s := range c.spans() {
			if len(s.links) == 1 && s.links[0] == to.trace+"/"+to.id {
				found = s
			}
		}
		return found != nil
	})
	if found.trace == to.trace || found.parent != "" {
		t.Errorf("the linked span is %+v", found)
	}
	return found
}

// The text format knows no exemplars: who asks for it must get none, and what promtool takes.
func TestExemplarsAreServedToThoseWhoKnowThem(t *testing.T) {
	t.Parallel()
	collector := startOtelcol(t)
	up := e2e.NewUpstream(t, e2e.OK(""))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL), Env: collector.environment()})
	s.Get(t, "/sales/a", "traceparent: 00-"+traceNumber(1)+appendedTo).WantStatus(t, 200)
	whole := named(t, collector.await(traceNumber(1), 2), "integration.execute", 0)
	for accept, want := range map[string]bool{"application/openmetrics-text;version=1.0.0": true, "text/plain": false} {
		request, err := http.NewRequest(http.MethodGet, "http://"+s.Probes+"/metrics", nil)
		must(t, err)
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		_ = response.Body.Close()
		if got := strings.Contains(string(body), `span_id="`+whole.id+`"`) && strings.Contains(string(body), `trace_id="`+whole.trace+`"`); got != want {
			t.Errorf("%s: exemplars %v", accept, got)
		}
		if !want {
			check := exec.Command(program(t, "promtool"), "check", "metrics")
			check.Stdin = strings.NewReader(string(body))
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("promtool: %v\n%s", err, out)
			}
		}
	}
}
