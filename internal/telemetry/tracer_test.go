package telemetry

import (
	"fmt"
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func contextOf(t *testing.T, text string) TraceContext {
	t.Helper()
	c, ok := ParseTraceparent(text)
	if !ok {
		t.Fatalf("%q is no traceparent", text)
	}
	return c
}

func TestTheDecisionOfATraceStands(t *testing.T) {
	on, off := contextOf(t, "00-"+traceA+"-"+spanA+"-01"), contextOf(t, "00-"+traceA+"-"+spanA+"-00")
	for name, c := range map[string]struct {
		s         sampling
		on, off   bool // the children of a recorded and an unrecorded one
		root      bool
		linkOfOff bool
	}{
		"all":        {sampling{ratio: 1, heedParent: true}, true, false, true, false},
		"none":       {sampling{ratio: 0, heedParent: true}, true, false, false, false},
		"always_on":  {sampling{ratio: 1}, true, true, true, true},
		"always_off": {sampling{ratio: 0}, false, false, false, false},
	} {
		tracer := newTracer("", c.s)
		for _, p := range []struct {
			parent TraceContext
			want   bool
		}{{on, c.on}, {off, c.off}} {
			child := tracer.Child(p.parent)
			if child.Trace != p.parent.Trace || child.Flags.IsSampled() != p.want {
				t.Errorf("%s: the child of %s is %s", name, p.parent, child)
			}
			if unchanged := !p.want && !p.parent.Flags.IsSampled(); (child.Span == p.parent.Span) != unchanged {
				t.Errorf("%s: the child of %s names itself %s", name, p.parent, child)
			}
		}
		root := tracer.Root()
		if !root.Trace.IsValid() || !root.Span.IsValid() || root.Flags.IsSampled() != c.root || !root.Flags.IsRandom() {
			t.Errorf("%s: a new trace is %s", name, root)
		}
		if link := tracer.Linked(off); link.Trace == off.Trace || link.Flags.IsSampled() != c.linkOfOff {
			t.Errorf("%s: what is linked to %s is %s", name, off, link)
		}
	}
}

func TestSharesAreThoseOfTheSDKsSampler(t *testing.T) {
	for _, ratio := range []float64{0, .01, .1, .5, .99, 1} {
		share, sdk := NewShare(ratio), sdktrace.TraceIDRatioBased(ratio)
		tracer := newTracer("", sampling{ratio: ratio})
		taken := 0
		for range 2000 {
			id := tracer.Root().Trace
			want := sdk.ShouldSample(sdktrace.SamplingParameters{TraceID: id}).Decision == sdktrace.RecordAndSample
			if got := share.OfTrace(id); got != want {
				t.Fatalf("%v of %s: %v, the SDK %v", ratio, id, got, want)
			}
			if want {
				taken++
			}
		}
		if math.Abs(float64(taken)/2000-ratio) > .06 {
			t.Errorf("%v: %d of 2000", ratio, taken)
		}
	}
}

func TestSharesOfTextsAreEvenAndPartsOfLargerOnes(t *testing.T) {
	small, large, taken := NewShare(.1), NewShare(.2), 0
	for i := range 10_000 {
		id := fmt.Sprintf("order-%d", i)
		if small.OfText(id) {
			taken++
			if !large.OfText(id) {
				t.Fatalf("%s is in the smaller share and not in the larger", id)
			}
		}
		if NewShare(.1).OfText(id) != small.OfText(id) || NewShare(0).OfText(id) || !NewShare(1).OfText(id) {
			t.Fatalf("%s is judged in two ways", id)
		}
	}
	if taken < 850 || taken > 1150 {
		t.Errorf("%d of 10000, want about a tenth", taken)
	}
}

func TestSpansComeOutAsTheyWerePublished(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := NewTracerTo(recorder, 1)
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	root, link := tracer.Root(), contextOf(t, "00-"+traceA+"-"+spanA+"-01")
	child := root
	child.Span = NewSpanID()
	tracer.Publish(&Span{Name: "root", Kind: trace.SpanKindServer, Context: root, State: "foo=1", Start: start, End: start.Add(time.Second), Links: []TraceContext{link},
		Attributes: []attribute.KeyValue{attribute.String("a", "b")}})
	tracer.Publish(&Span{Name: "child", Kind: trace.SpanKindClient, Context: child, Parent: root.Span, Start: start, End: start, Failed: true, Why: "why"})
	ended := recorder.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	r, c := ended[0], ended[1]
	if r.SpanContext().TraceID() != root.Trace || r.SpanContext().SpanID() != root.Span || r.Parent().SpanID().IsValid() || !r.SpanContext().TraceFlags().IsRandom() ||
		r.SpanContext().TraceState().String() != "foo=1" || r.SpanKind() != trace.SpanKindServer || !r.StartTime().Equal(start) || r.EndTime().Sub(start) != time.Second ||
		len(r.Links()) != 1 || r.Links()[0].SpanContext.TraceID() != link.Trace || len(r.Attributes()) != 1 || r.Status().Code != codes.Unset {
		t.Errorf("root: %+v", tracetest.SpanStubFromReadOnlySpan(r))
	}
	if c.SpanContext().TraceID() != root.Trace || c.SpanContext().SpanID() != child.Span || c.Parent().SpanID() != root.Span || c.Status() != (sdktrace.Status{Code: codes.Error, Description: "why"}) {
		t.Errorf("child: %+v", tracetest.SpanStubFromReadOnlySpan(c))
	}
}

func TestTheEnvironmentChoosesTheSampler(t *testing.T) {
	file := sampling{ratio: .25, heedParent: true}
	for name, c := range map[string]struct {
		sampler, arg string
		want         sampling
		fault        bool
	}{
		"nothing":           {"", "0.5", file, false},
		"on":                {"always_on", "", sampling{1, false, true}, false},
		"off":               {"always_off", "", sampling{0, false, true}, false},
		"ratio":             {"traceidratio", "0.5", sampling{.5, false, true}, false},
		"no ratio":          {"traceidratio", "", sampling{1, false, true}, false},
		"heeding, on":       {"parentbased_always_on", "", sampling{1, true, true}, false},
		"heeding, off":      {"parentbased_always_off", "", sampling{0, true, true}, false},
		"heeding, ratio":    {"parentbased_traceidratio", " 0.01 ", sampling{.01, true, true}, false},
		"a bad ratio":       {"traceidratio", "1.5", file, true},
		"no number":         {"traceidratio", "NaN", file, true},
		"an unknown one":    {"jaeger_remote", "", file, true},
		"half a known name": {"parentbased_", "", file, false},
	} {
		t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
		if got, err := samplingFromEnv(.25); got != c.want || (err != nil) != c.fault {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTheFileChangesTheRatioUnlessTheEnvironmentHasChosen(t *testing.T) {
	tracer := newTracer("", sampling{ratio: 0, heedParent: true})
	if tracer.SetRatio(1); !tracer.Root().Flags.IsSampled() {
		t.Error("a new ratio has no effect")
	}
	tracer = newTracer("", sampling{ratio: 0, fromEnv: true})
	if tracer.SetRatio(1); tracer.Root().Flags.IsSampled() {
		t.Error("the file has overruled the environment")
	}
	(*Tracer)(nil).SetRatio(1)
	if (*Tracer)(nil).Propagates() || (*Tracer)(nil).Shutdown(t.Context()) != nil {
		t.Error("no tracer does something")
	}
}
