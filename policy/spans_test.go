package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// attributesOf are those of a span, as text.
func attributesOf(s sdktrace.ReadOnlySpan) map[string]string {
	m := map[string]string{}
	for _, a := range s.Attributes() {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// says fails unless the span has these attributes; "" stands for none of that name.
func says(t *testing.T, s sdktrace.ReadOnlySpan, want map[string]string) {
	t.Helper()
	got := attributesOf(s)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s is %q, want %q", s.Name(), name, got[name], value)
		}
	}
}

func TestTheSpansOfARetriedCall(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Reset(), upstream.OK("fine"))
	r, recorder := newTracedRig(t, u.URL(), quick(honoured), 1)
	x := r.exchange("POST", "/orders?token=hunter2&page=2&flag", `{"secret":"hunter2"}`, "X-Tenant-ID", "acme", "X-Idempotency-Key", "hunter2-key", "traceparent", recorded)
	x.Operation = "POST /orders"
	if a := r.run(x); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	spans := recorder.Ended()
	if want := []string{"integration.execute", "wait.retry", "wait.retry", "POST /orders", "POST /orders", "POST /orders"}; !slices.Equal(spanNames(spans), want) {
		t.Fatalf("spans %v, want %v", spanNames(spans), want)
	}
	whole, attempts := spans[0], spans[3:]
	says(t, whole, map[string]string{"adapter.id": "erp-main", "adapter.version": "1.2.3", "correlation.id": "corr-1", "tenant.id": "acme", "http.request.method": "POST",
		"url.path": "/orders", "url.scheme": "http", "http.response.status_code": "200", "integration.operation": "POST /orders", "integration.attempts": "3",
		"integration.idempotency": "stored", "error.type": ""})
	if whole.SpanKind() != trace.SpanKindServer || whole.Status().Code != codes.Unset {
		t.Errorf("the exchange is of kind %s, %v", whole.SpanKind(), whole.Status())
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(u.URL(), "http://"), ":")
	for i, a := range attempts {
		says(t, a, map[string]string{"http.request.method": "POST", "server.address": host, "server.port": port, "url.template": "/orders",
			"url.full":                  u.URL() + "/orders?token=REDACTED&page=REDACTED&REDACTED",
			"http.request.resend_count": []string{"", "1", "2"}[i], "http.response.status_code": []string{"503", "", "200"}[i],
			"network.protocol.version": []string{"1.1", "", "1.1"}[i], "error.type": []string{"503", "connection_terminated", ""}[i]})
		if want := []codes.Code{codes.Error, codes.Error, codes.Unset}[i]; a.SpanKind() != trace.SpanKindClient || a.Status().Code != want || a.Parent().SpanID() != whole.SpanContext().SpanID() {
			t.Errorf("attempt %d is of kind %s, %v, under %s", i+1, a.SpanKind(), a.Status(), a.Parent().SpanID())
		}
		if a.StartTime().Before(whole.StartTime()) || a.EndTime().After(whole.EndTime()) || a.EndTime().Before(a.StartTime()) {
			t.Errorf("attempt %d from %s to %s, the exchange from %s to %s", i+1, a.StartTime(), a.EndTime(), whole.StartTime(), whole.EndTime())
		}
	}
	nowhere(t, spans, "hunter2", "X-Idempotency-Key", "fine")
}

// nowhere fails when a span holds any of these texts.
func nowhere(t *testing.T, spans []sdktrace.ReadOnlySpan, texts ...string) {
	t.Helper()
	for _, s := range spans {
		all := fmt.Sprint(s.Name(), s.Status(), attributesOf(s), s.Events(), s.Links())
		for _, text := range texts {
			if strings.Contains(all, text) {
				t.Errorf("a span holds %s: %s", text, all)
			}
		}
	}
}

func TestWhatFailsIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		next   Next
		kind   string
		status string
		failed bool
	}{
		"503":          {content(503), "server_error", "503", true},
		"404":          {content(404), "client_error", "404", false},
		"refused here": {fails(problem.New(problem.RateLimited, "d")), "rate_limited", "429", false},
		"unreachable":  {fails(problem.New(problem.UpstreamUnreachable, "d")), "network", "502", true},
		"200 judged bad": {func(*Exchange) (*wire.Response, error) {
			return &wire.Response{Status: 200, Outcome: wire.PartialFailure}, nil
		}, "partial_failure", "200", true},
		"app went away": {fails(ErrCanceled), "canceled", "", true},
		"a bug":         {func(*Exchange) (*wire.Response, error) { panic("hunter2") }, "internal", "500", true},
	} {
		r, recorder := newTracedRig(t, "", quick(), 1)
		next := observe(quick(), r.host, r.deps)(stamp(quick(), r.deps.Tracer)(c.next))
		_, _ = next(r.exchange("GET", "/", ""))
		whole := spanNamed(t, recorder.Ended(), "integration.execute")
		says(t, whole, map[string]string{"error.type": c.kind, "http.response.status_code": c.status})
		if (whole.Status().Code == codes.Error) != c.failed {
			t.Errorf("%s: %v", name, whole.Status())
		}
		nowhere(t, recorder.Ended(), "hunter2")
	}
}

// Bytes that are no text would cost the whole batch, and a method could fill the list of names.
func TestStrangersCannotSpoilSpans(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""))
	r, recorder := newTracedRig(t, u.URL(), quick(), 1)
	if a := r.call("BREW\x7e", "/\xff\xfe"+strings.Repeat("x", 10_000), "", "X-Tenant-ID", "\xff"); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	attempt := spanNamed(t, recorder.Ended(), "HTTP")
	says(t, attempt, map[string]string{"http.request.method": "_OTHER", "http.request.method_original": "BREW~"})
	for _, s := range recorder.Ended() {
		for name, value := range attributesOf(s) {
			if len([]rune(value)) > 4096 || strings.ContainsRune(name, '\xff') || strings.ToValidUTF8(value, "") != value {
				t.Errorf("%s: %s is %d characters long, or no text", s.Name(), name, len(value))
			}
		}
	}
}

func TestWaitsAreSpans(t *testing.T) {
	t.Run("a token of the limit, and the delay of a retry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := testSettings()
			s.Host.RateLimit = &RateLimit{Capacity: 1, RefillRate: 1, Per: "adapter", MaxWait: units.Duration(time.Minute)}
			r, recorder := newTracedRig(t, "", s, 1)
			calls := play(t, answered(200), answered(503), answered(200))
			next := observe(s, r.host, r.deps)(stamp(s, r.deps.Tracer)(attempts(s, r.host)(limitStage(r.host)(calls.next))))
			for range 2 {
				x := r.exchange("GET", "/", "")
				x.Start = time.Now()
				resp, err := next(x)
				if err != nil {
					t.Fatal(err)
				}
				resp.Close()
			}
			lasting := map[string]time.Duration{}
			for _, span := range recorder.Ended() {
				lasting[span.Name()] += span.EndTime().Sub(span.StartTime())
			}
			if lasting["wait.rate_limit"] != time.Second || lasting["wait.retry"] != time.Second {
				t.Errorf("spans last %v", lasting)
			}
		})
	})
	t.Run("a call with the same key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := testSettings()
			r, recorder := newTracedRig(t, "", s, 1)
			next := observe(s, r.host, r.deps)(stamp(s, r.deps.Tracer)(keyStages(s, r.host.Identity, r.keys)(func(x *Exchange) (*wire.Response, error) {
				return &wire.Response{Status: 201, Content: []byte("made")}, x.wait(3 * time.Second)
			})))
			done := make(chan struct{})
			for range 2 {
				go func() {
					resp, err := next(r.exchange("POST", "/", "{}", "X-Idempotency-Key", "k"))
					if err != nil {
						t.Error(err)
					}
					resp.Close()
					done <- struct{}{}
				}()
			}
			<-done
			<-done
			waited := spanNamed(t, recorder.Ended(), "wait.in_flight")
			if took := waited.EndTime().Sub(waited.StartTime()); took <= 0 || took > 3*time.Second {
				t.Errorf("waited %s", took)
			}
		})
	})
	t.Run("Redis", func(t *testing.T) {
		client := openShared(t, miniredis.RunT(t), time.Second)
		s := testSettings()
		r, recorder := newTracedRig(t, "", s, 1)
		limiter := NewLimiter(slowLimit(5), client, "erp")
		x := r.exchange("GET", "/", "")
		x.Patience = client.Patience()
		x.Deadline = time.Now().Add(time.Minute)
		next := observe(s, r.host, r.deps)(stamp(s, r.deps.Tracer)(func(x *Exchange) (*wire.Response, error) {
			return &wire.Response{Status: 200}, limiter.take(x, 0)
		}))
		if _, err := next(x); err != nil {
			t.Fatal(err)
		}
		if w := spanNamed(t, recorder.Ended(), "wait.redis"); w.SpanKind() != trace.SpanKindInternal || w.Parent().SpanID().String() != x.SpanID {
			t.Errorf("%s under %s", w.SpanKind(), w.Parent().SpanID())
		}
	})
	t.Run("an access token, when it is fetched", func(t *testing.T) {
		t.Setenv("OAUTH_TEST", "hunter2")
		endpoint := upstream.Script(t, upstream.Delay(tokenStep("hunter2-token"), 2*leastTokenWait))
		u := upstream.Script(t, upstream.OK(""))
		r, recorder := newTracedRig(t, u.URL(), quick(withTokens(endpoint.URL())), 1)
		if a := r.call("GET", "/", ""); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		spanNamed(t, recorder.Ended(), "wait.token")
		nowhere(t, recorder.Ended(), "hunter2")
	})
}

func TestWaitsAreBounded(t *testing.T) {
	x := testExchange(t, "GET", "/", "")
	x.trace.recorded = true
	for range 10 * maxWaits {
		x.waited(waitRedis, x.clock())
	}
	if len(x.trace.waits) != maxWaits {
		t.Errorf("%d waits are remembered", len(x.trace.waits))
	}
	x.trace = traced{}
	if x.waited(waitRedis, time.Now()); len(x.trace.waits) != 0 || !x.clock().IsZero() {
		t.Error("an exchange that is not recorded remembers waits")
	}
}

func TestRecordedDurationsHaveExemplars(t *testing.T) {
	for flags, want := range map[string]string{"01": theirTrace, "00": ""} {
		u := upstream.Script(t, upstream.OK(""))
		r, _ := newTracedRig(t, u.URL(), quick(), 1)
		a := r.call("GET", "/", "", "traceparent", "00-"+theirTrace+"-"+theirSpan+"-"+flags)
		found := ""
		families, err := r.deps.Metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, b := range m.GetHistogram().GetBucket() {
					for _, l := range b.GetExemplar().GetLabel() {
						if f.GetName() == "integration_request_duration_seconds" && l.GetName() == "trace_id" {
							found = l.GetValue()
						}
						if l.GetName() == "span_id" && l.GetValue() != a.x.SpanID {
							t.Errorf("the exemplar is of span %s, the exchange of %s", l.GetValue(), a.x.SpanID)
						}
					}
				}
			}
		}
		if found != want {
			t.Errorf("with flags %s the exemplar is of trace %q", flags, found)
		}
	}
}

func TestRedactionKeepsNames(t *testing.T) {
	for target, want := range map[string]string{"/a": "/a", "/a?": "/a?", "/a?b=c": "/a?b=REDACTED", "/a?b=c=d&e": "/a?b=REDACTED&REDACTED", "/a?b=&&c=1": "/a?b=REDACTED&&c=REDACTED",
		"/a?b=x?y=z": "/a?b=REDACTED", "/a?%3D=v": "/a?%3D=REDACTED"} {
		if got := redacted(target); got != want {
			t.Errorf("%s became %s, want %s", target, got, want)
		}
	}
}

func TestTheErrorOfAnAttemptIsAsSpecificAsItCanBe(t *testing.T) {
	for text, want := range map[string]string{"upstream-timeout": "upstream-timeout", "upstream-unreachable (dns_error)": "dns_error", "canceled": "canceled"} {
		s := newSpanner(nil, testIdentity())
		x := testExchange(t, "GET", "/", "")
		span := s.attempt(x, &dlq.Attempt{Number: 1, Error: text}, &send{})
		for _, a := range span.Attributes {
			if a.Key == "error.type" && a.Value.AsString() != want {
				t.Errorf("%s is told as %s", text, a.Value.AsString())
			}
		}
		if !span.Failed || span.Why != text {
			t.Errorf("%+v", span)
		}
	}
}
