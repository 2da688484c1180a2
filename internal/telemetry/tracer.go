package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer decides which calls are recorded, makes their ids, and takes their spans when they are over. A nil Tracer
// records nothing. The decision comes first and costs nearly nothing; the SDK only sees what is recorded.
type Tracer struct {
	share        *Share
	heedParent   bool // the decision of the call's trace stands
	fromEnv      bool // the environment has chosen the sampler: the configuration file does not change it
	provider     *sdktrace.TracerProvider
	tracer       trace.Tracer
	outOfContext bool // W3C Trace Context is not among OTEL_PROPAGATORS
}

// scope is the instrumentation scope of every span.
const scope = "github.com/fsm-integrations/sidecar"

// newTracer sends to the given processors.
func newTracer(version string, s sampling, options ...sdktrace.TracerProviderOption) *Tracer {
	limits := sdktrace.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 { // strangers choose the length of a path
		limits.AttributeValueLengthLimit = maxAttribute
	}
	options = append(options, sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithIDGenerator(givenIDs{}), sdktrace.WithRawSpanLimits(limits))
	t := &Tracer{share: NewShare(s.ratio), heedParent: s.heedParent, fromEnv: s.fromEnv, provider: sdktrace.NewTracerProvider(options...)}
	t.tracer = t.provider.Tracer(scope, trace.WithInstrumentationVersion(version))
	return t
}

// NewTracerTo returns a tracer whose spans go to a processor, and of whose new traces ratio are recorded.
func NewTracerTo(p sdktrace.SpanProcessor, ratio float64) *Tracer {
	return newTracer("", sampling{ratio: ratio, heedParent: true}, sdktrace.WithSpanProcessor(p))
}

// Silent makes calls stand alone: their traceparent is not read, and nobody is told of ours.
func (t *Tracer) Silent() *Tracer {
	t.outOfContext = true
	return t
}

// maxAttribute bounds the text of an attribute, in characters.
const maxAttribute = 4096

// SetRatio changes the share of new traces that are recorded, unless the environment has chosen.
func (t *Tracer) SetRatio(ratio float64) {
	if t != nil && !t.fromEnv {
		t.share.Set(ratio)
	}
}

// Propagates reports whether calls join the trace of their traceparent, and go on with one of ours.
func (t *Tracer) Propagates() bool { return t != nil && !t.outOfContext }

// Root begins a trace.
func (t *Tracer) Root() TraceContext {
	c := TraceContext{Span: NewSpanID(), Flags: trace.FlagsRandom}
	for !c.Trace.IsValid() {
		binary.NativeEndian.PutUint64(c.Trace[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(c.Trace[8:], rand.Uint64())
	}
	if t.share.OfTrace(c.Trace) {
		c.Flags |= trace.FlagsSampled
	}
	return c
}

// Child is where the call of a trace stands here. Without a span of ours, nothing of its context changes.
func (t *Tracer) Child(parent TraceContext) TraceContext {
	c := parent
	if !t.heedParent {
		c.Flags = c.Flags.WithSampled(t.share.OfTrace(c.Trace))
	}
	if c.Flags.IsSampled() || c.Flags != parent.Flags { // who changes the decision must name itself (section 3.3.1.4)
		c.Span = NewSpanID()
	}
	return c
}

// Linked begins a trace that has to do with another one, and is recorded when that one is.
func (t *Tracer) Linked(to TraceContext) TraceContext {
	c := t.Root()
	if t.heedParent {
		c.Flags = c.Flags.WithSampled(to.Flags.IsSampled())
	}
	return c
}

// NewSpanID makes the id of a span. Ids need to be different, not secret.
func NewSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// Span is one that is over.
type Span struct {
	Name       string
	Kind       trace.SpanKind
	Context    TraceContext
	Parent     trace.SpanID // zero: it is the root of its trace
	Remote     bool         // Parent is of another process
	State      string       // tracestate
	Start, End time.Time
	Attributes []attribute.KeyValue
	Links      []TraceContext
	Failed     bool
	Why        string // of a failed one, if its attributes do not tell; never a stranger's words
}

// Publish passes a span on to be sent. It does not wait: what finds no room is dropped and counted.
func (t *Tracer) Publish(s *Span) {
	state, _ := trace.ParseTraceState(s.State) // one that only the SDK does not take is passed on all the same, and not shown
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.Context.Trace, SpanID: s.Parent, TraceFlags: s.Context.Flags, TraceState: state, Remote: s.Remote})
	ctx := context.WithValue(trace.ContextWithSpanContext(context.Background(), parent), spanIDKey{}, s.Context.Span)
	options := []trace.SpanStartOption{trace.WithTimestamp(s.Start), trace.WithSpanKind(s.Kind), trace.WithAttributes(s.Attributes...)}
	for _, to := range s.Links {
		linked := trace.NewSpanContext(trace.SpanContextConfig{TraceID: to.Trace, SpanID: to.Span, TraceFlags: to.Flags, Remote: true})
		options = append(options, trace.WithLinks(trace.Link{SpanContext: linked}))
	}
	_, span := t.tracer.Start(ctx, s.Name, options...)
	if s.Failed {
		span.SetStatus(codes.Error, s.Why)
	}
	span.End(trace.WithTimestamp(s.End))
}

// Shutdown sends what waits, until ctx ends.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

type spanIDKey struct{}

// givenIDs gives a span the id under which it was told to others before it began to exist.
type givenIDs struct{}

func (givenIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) { // a span always comes with its trace
	return trace.TraceID{}, givenIDs{}.NewSpanID(ctx, trace.TraceID{})
}

func (givenIDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	id, _ := ctx.Value(spanIDKey{}).(trace.SpanID)
	return id
}
