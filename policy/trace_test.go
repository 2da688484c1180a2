package policy

import (
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

const (
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirSpan  = "00f067aa0ba902b7"
	recorded   = "00-" + theirTrace + "-" + theirSpan + "-01"
	unrecorded = "00-" + theirTrace + "-" + theirSpan + "-00"
)

// traced makes the rig's chain anew, with a tracer that records ratio of new traces.
func (r *rig) traced(s *Settings, ratio float64) *tracetest.SpanRecorder {
	r.t.Helper()
	recorder := tracetest.NewSpanRecorder()
	r.deps.Tracer = telemetry.NewTracerTo(recorder, ratio)
	r.t.Cleanup(func() { _ = r.deps.Tracer.Shutdown(r.t.Context()) })
	var err error
	if r.next, err = Compile(s, r.host, r.deps); err != nil {
		r.t.Fatal(err)
	}
	return recorder
}

func newTracedRig(t testing.TB, url string, s *Settings, ratio float64) (*rig, *tracetest.SpanRecorder) {
	t.Helper()
	r := newRig(t, url, s)
	return r, r.traced(s, ratio)
}

// spanNamed is the only span of that name.
func spanNamed(t testing.TB, spans []sdktrace.ReadOnlySpan, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, s := range spans {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %s among %v", len(found), name, spanNames(spans))
	}
	return found[0]
}

func spanNames(spans []sdktrace.ReadOnlySpan) (names []string) {
	for _, s := range spans {
		names = append(names, s.Name())
	}
	return names
}

// TestTheTraceGoesOnByTheSpecification: what the external system is told, by what came.
func TestTheTraceGoesOnByTheSpecification(t *testing.T) {
	for name, c := range map[string]struct {
		fields     []string
		ratio      float64
		same       bool   // the trace of the caller goes on
		flags      string // sent on
		parentKept bool   // the caller stays the parent, because there is no span here
		state      string
	}{
		"recorded":                    {[]string{"traceparent", recorded, "tracestate", "foo=1"}, 0, true, "01", false, "foo=1"},
		"not recorded":                {[]string{"traceparent", unrecorded, "tracestate", "foo=1"}, 1, true, "00", true, "foo=1"},
		"random":                      {[]string{"traceparent", "00-" + theirTrace + "-" + theirSpan + "-03"}, 0, true, "03", false, ""},
		"flags to come":               {[]string{"traceparent", "00-" + theirTrace + "-" + theirSpan + "-fc"}, 1, true, "00", true, ""},
		"a version to come":           {[]string{"traceparent", "cc-" + theirTrace + "-" + theirSpan + "-00-more"}, 1, true, "00", true, ""},
		"none, and all are recorded":  {nil, 1, false, "03", false, ""},
		"none, and none is recorded":  {nil, 0, false, "02", false, ""},
		"malformed":                   {[]string{"traceparent", "00-" + strings.ToUpper(theirTrace) + "-" + theirSpan + "-01", "tracestate", "foo=1"}, 0, false, "02", false, ""},
		"two of them":                 {[]string{"traceparent", recorded, "Traceparent", recorded, "tracestate", "foo=1"}, 1, false, "03", false, ""},
		"a state without a parent":    {[]string{"tracestate", "foo=1"}, 1, false, "03", false, ""},
		"two states":                  {[]string{"traceparent", recorded, "tracestate", "foo=1", "Tracestate", "bar=2"}, 0, true, "01", false, "foo=1,bar=2"},
		"a malformed state":           {[]string{"traceparent", recorded, "tracestate", "foo"}, 0, true, "01", false, ""},
		"a state of an unrecorded":    {[]string{"traceparent", unrecorded, "tracestate", "foo"}, 0, true, "00", true, ""},
		"white space around a parent": {[]string{"traceparent", " " + unrecorded + "\t"}, 1, true, "00", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, upstream.OK(""))
			r, recorder := newTracedRig(t, u.URL(), quick(), c.ratio)
			a := r.call("GET", "/", "", c.fields...)
			if a.err != nil {
				t.Fatal(a.err)
			}
			sent := u.Request(1).Header
			if len(sent.Values("Traceparent")) != 1 || sent.Get("Tracestate") != c.state || len(sent.Values("Tracestate")) > 1 {
				t.Fatalf("sent %v, %v", sent.Values("Traceparent"), sent.Values("Tracestate"))
			}
			told, ok := telemetry.ParseTraceparent(sent.Get("Traceparent"))
			if !ok || (told.Trace.String() == theirTrace) != c.same || (told.Span.String() == theirSpan) != c.parentKept || !strings.HasSuffix(sent.Get("Traceparent"), "-"+c.flags) {
				t.Errorf("sent %s", sent.Get("Traceparent"))
			}
			if a.x.TraceID != told.Trace.String() {
				t.Errorf("the log would tell of trace %s", a.x.TraceID)
			}
			spans := recorder.Ended()
			if !told.Flags.IsSampled() {
				if len(spans) != 0 || a.x.SpanID != "" {
					t.Errorf("recorded %v, span %s", spanNames(spans), a.x.SpanID)
				}
				return
			}
			whole, attempt := spanNamed(t, spans, "integration.execute"), spanNamed(t, spans, "GET")
			if attempt.SpanContext().SpanID() != told.Span || attempt.SpanContext().TraceID() != told.Trace || attempt.Parent().SpanID() != whole.SpanContext().SpanID() ||
				whole.SpanContext().SpanID().String() != a.x.SpanID || whole.SpanContext().TraceState().String() != c.state {
				t.Errorf("sent %s; the attempt is %v under %v", told, attempt.SpanContext(), attempt.Parent())
			}
			if parent := whole.Parent().SpanID(); c.same && parent.String() != theirSpan || !c.same && parent.IsValid() {
				t.Errorf("the parent of the exchange is %s", parent)
			}
		})
	}
}

func TestWithoutATracerTheFieldsGoOnAsTheyCame(t *testing.T) {
	for text, want := range map[string]string{recorded: theirTrace, unrecorded: theirTrace, "cc-" + theirTrace + "-" + theirSpan + "-09-more": theirTrace, "malformed": "", "": ""} {
		u := upstream.Script(t, upstream.OK(""))
		r := newRig(t, u.URL(), quick())
		fields := []string{"tracestate", "foo"}
		if text != "" {
			fields = append(fields, "traceparent", text)
		}
		a := r.call("GET", "/", "", fields...)
		sent := u.Request(1).Header
		if sent.Get("Traceparent") != text || sent.Get("Tracestate") != "foo" || a.x.TraceID != want || a.x.SpanID != "" {
			t.Errorf("%q became %q, %q, trace %q", text, sent.Get("Traceparent"), sent.Get("Tracestate"), a.x.TraceID)
		}
	}
}

// OTEL_PROPAGATORS may leave tracecontext out: spans are recorded, in traces that nobody else knows.
func TestASilentTracerTellsNobody(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""))
	r := newRig(t, u.URL(), quick())
	recorder := tracetest.NewSpanRecorder()
	r.deps.Tracer = telemetry.NewTracerTo(recorder, 1).Silent()
	var err error
	if r.next, err = Compile(quick(), r.host, r.deps); err != nil {
		t.Fatal(err)
	}
	a := r.call("GET", "/", "", "traceparent", unrecorded, "tracestate", "foo")
	if sent := u.Request(1).Header; a.err != nil || sent.Get("Traceparent") != unrecorded || sent.Get("Tracestate") != "foo" {
		t.Errorf("%v, sent %v", a.err, sent)
	}
	whole := spanNamed(t, recorder.Ended(), "integration.execute")
	if id := whole.SpanContext().TraceID().String(); id == theirTrace || id != a.x.TraceID || whole.Parent().SpanID().IsValid() {
		t.Errorf("recorded as trace %s", id)
	}
	spanNamed(t, recorder.Ended(), "GET")
}

func TestEachAttemptIsASpanThatTheExternalSystemWasTold(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Status(503), upstream.OK(""))
	r, recorder := newTracedRig(t, u.URL(), quick(), 1)
	if a := r.call("GET", "/", "", "traceparent", recorded); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	told := map[string]bool{}
	for _, q := range u.Requests() {
		told[telemetry.SpanIDOf(q.Header.Get("Traceparent"))] = true
	}
	n := 0
	for _, s := range recorder.Ended() {
		if s.Name() == "GET" {
			n++
			delete(told, s.SpanContext().SpanID().String())
		}
	}
	if n != 3 || len(told) != 0 {
		t.Errorf("%d attempts; the external system was told of %v, of which there is no span", n, told)
	}
}

// A trace that is continued days later, or by an operator, would be one that never ends.
func TestWhatIsSentLaterIsATraceOfItsOwnWithALink(t *testing.T) {
	t.Run("delivery", func(t *testing.T) {
		u := upstream.Script(t, upstream.OK(""))
		r, _ := asyncRig(t, u.URL())
		recorder := r.traced(quick(async), 0)
		kept := r.accept("traceparent", recorded)
		accepting := spanNamed(t, recorder.Ended(), "integration.execute")
		if a := r.run(r.delivery(kept)); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		linkedTo(t, recorder.Ended()[1:], accepting, u.Request(1).Header.Get("Traceparent"))
	})
	t.Run("replay", func(t *testing.T) {
		u := upstream.Script(t, upstream.Status(400), upstream.OK(""))
		r, recorder := newTracedRig(t, u.URL(), quick(), 0)
		first := r.call("POST", "/", "{}", "traceparent", recorded, "tracestate", "foo=1")
		failed := spanNamed(t, recorder.Ended(), "integration.execute")
		again := r.exchange("POST", "/", "{}")
		again.Request.Fields = first.x.Request.Fields // as a letter keeps them
		again.Replay = &Replay{Letter: &dlq.Letter{ID: dlq.NewID(), Metadata: dlq.Metadata{IdempotencyKey: "k"}}}
		if a := r.run(again); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		linkedTo(t, recorder.Ended()[2:], failed, u.Request(2).Header.Get("Traceparent"))
		if state := u.Request(2).Header.Get("Tracestate"); state != "" {
			t.Errorf("the state of another trace went on: %s", state)
		}
	})
	t.Run("of what was not recorded", func(t *testing.T) {
		u := upstream.Script(t, upstream.OK(""))
		r, _ := asyncRig(t, u.URL())
		recorder := r.traced(quick(async), 1)
		if a := r.run(r.delivery(r.accept("traceparent", unrecorded))); a.status != 200 || len(recorder.Ended()) != 0 {
			t.Errorf("%+v, recorded %v", a, spanNames(recorder.Ended()))
		}
	})
}

func linkedTo(t *testing.T, spans []sdktrace.ReadOnlySpan, earlier sdktrace.ReadOnlySpan, sent string) {
	t.Helper()
	later := spanNamed(t, spans, "integration.execute")
	links := later.Links()
	if later.SpanContext().TraceID() == earlier.SpanContext().TraceID() || later.Parent().SpanID().IsValid() || len(links) != 1 ||
		links[0].SpanContext.TraceID() != earlier.SpanContext().TraceID() || links[0].SpanContext.SpanID() != earlier.SpanContext().SpanID() {
		t.Errorf("%v with links %v, want a link to %v", later.SpanContext(), links, earlier.SpanContext())
	}
	if telemetry.TraceIDOf(sent) != later.SpanContext().TraceID().String() {
		t.Errorf("the external system was told %s", sent)
	}
}

// The signature of RFC 9421 may cover traceparent.
func TestTheAttemptsContextIsThereBeforeItIsSigned(t *testing.T) {
	s := testSettings()
	x := testExchange(t, "GET", "/", "")
	tracer := telemetry.NewTracerTo(tracetest.NewSpanRecorder(), 1)
	var seen []string
	_, err := stamp(s, tracer)(func(x *Exchange) (*wire.Response, error) {
		for range 2 {
			x.beginAttempt()
			seen = append(seen, x.attempt.Fields.Get(traceparentField))
		}
		return &wire.Response{Status: 200}, nil
	})(x)
	if err != nil || seen[0] == seen[1] || seen[0] == x.Request.Fields.Get(traceparentField) || telemetry.TraceIDOf(seen[1]) != x.TraceID {
		t.Errorf("%v, %v", seen, err)
	}
}
