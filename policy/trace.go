package policy

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

const (
	traceparentField = "Traceparent"
	tracestateField  = "Tracestate"
)

// maxWaits bounds the waits that are remembered of one exchange.
const maxWaits = 64

// traced is what the spans of an exchange will be made of. Stages begin and end no spans: they note when something
// happened, and only if it will be told. Ids are the exception, because the external system hears them.
type traced struct {
	context  telemetry.TraceContext // of the exchange's own span; unrecorded: of who called
	parent   trace.SpanID           // zero: the trace begins here
	link     telemetry.TraceContext // of a try or a replay: the exchange that was accepted or failed
	state    string                 // tracestate
	recorded bool
	silent   bool         // nobody is told: OTEL_PROPAGATORS has no tracecontext
	next     trace.SpanID // of the attempt that is being prepared
	sends    []send       // one per attempt
	waits    []waiting
}

// send is what the span of an attempt needs beside the attempt's own record.
type send struct {
	span     trace.SpanID
	protocol string // of HTTP: "1.1", "2"; "" when there was no answer
}

// waiting is a time in which an exchange stood still.
type waiting struct {
	span  trace.SpanID
	what  string
	start time.Time
	took  time.Duration
}

// joinTrace finds out where the exchange stands in a trace, and writes down what the external system is told of it,
// which is also what a letter keeps. With t nil nothing is recorded here, and the fields go on as they came.
//
// Who sends a letter again, or delivers what was accepted, is not in the trace of the call, which is long over: it begins
// a trace of its own, with a link.
func (x *Exchange) joinTrace(t *telemetry.Tracer) {
	fields := &x.Request.Fields
	text, came, ok := traceparent(x)
	switch {
	case t == nil:
		if x.trace.context = came; ok {
			x.TraceID = telemetry.TraceIDOf(text)
		}
		return
	case !t.Propagates():
		x.trace.context, x.trace.silent = t.Root(), true
		x.standIn(x.trace.context.String())
		return
	}
	late := x.Delivery != nil || x.Replay != nil
	switch {
	case ok && late:
		x.trace.context, x.trace.link = t.Linked(came), came
	case ok:
		x.trace.context, x.trace.parent = t.Child(came), came.Span
	default:
		x.trace.context = t.Root()
	}
	if x.trace.context != came || !telemetry.Canonical(text) {
		text = x.trace.context.String()
	}
	fields.Set(traceparentField, text)
	x.passState(ok && !late)
	x.standIn(text)
}

// standIn notes which trace and span the exchange is, as text.
func (x *Exchange) standIn(traceparent string) {
	x.TraceID = telemetry.TraceIDOf(traceparent)
	if x.trace.recorded = x.trace.context.Flags.IsSampled(); x.trace.recorded {
		x.SpanID = telemetry.SpanIDOf(traceparent)
	}
}

// traceparent is the only one of the call; with two of them nobody knows which is meant (W3C Trace Context section
// 3.2), and a new trace begins.
func traceparent(x *Exchange) (text string, c telemetry.TraceContext, ok bool) {
	n := 0
	for i := range x.Request.Fields {
		if f := &x.Request.Fields[i]; strings.EqualFold(f.Name, traceparentField) {
			text = strings.Trim(f.Value, " \t")
			n++
		}
	}
	if n != 1 {
		return "", telemetry.TraceContext{}, false
	}
	c, ok = telemetry.ParseTraceparent(text)
	return text, c, ok
}

// passState passes tracestate on in the trace it came with, as one field.
func (x *Exchange) passState(same bool) {
	fields := &x.Request.Fields
	if !fields.Has(tracestateField) {
		return
	}
	var values []string
	for _, f := range *fields {
		if same && strings.EqualFold(f.Name, tracestateField) {
			values = append(values, f.Value)
		}
	}
	if x.trace.state = telemetry.JoinTracestate(values...); x.trace.state == "" {
		fields.Del(tracestateField)
		return
	}
	fields.Set(tracestateField, x.trace.state)
}

// nameAttempt gives an attempt a span of its own and tells the external system. It comes before credentials and signature,
// which may cover the field.
func (x *Exchange) nameAttempt() {
	if !x.trace.recorded {
		return
	}
	c := x.trace.context
	c.Span = telemetry.NewSpanID()
	x.trace.next = c.Span
	if !x.trace.silent {
		x.attempt.Fields.Set(traceparentField, c.String())
	}
}

// sends notes that the attempt is not stopped any more.
func (x *Exchange) sends() {
	if x.trace.recorded {
		x.trace.sends = append(x.trace.sends, send{span: x.trace.next})
	}
}

// spoke notes the version of HTTP in which the last attempt was answered.
func (x *Exchange) spoke(major int) {
	if !x.trace.recorded {
		return
	}
	last := &x.trace.sends[len(x.trace.sends)-1]
	if last.protocol = "1.1"; major == 2 {
		last.protocol = "2"
	}
}

// What an exchange waits for.
const (
	waitLimit    = "rate_limit" // a token of our limit
	waitRetry    = "retry"      // the delay before another attempt
	waitInFlight = "in_flight"  // another call with the same key
	waitRedis    = "redis"
	waitToken    = "token" // an access token
)

// leastTokenWait tells a token that was fetched from one that was there.
const leastTokenWait = 100 * time.Microsecond

// clock is the time, if anybody is going to be told: the zero time else, with which waited notes nothing.
func (x *Exchange) clock() time.Time {
	if !x.trace.recorded {
		return time.Time{}
	}
	return time.Now()
}

// waited notes a wait that is over.
func (x *Exchange) waited(what string, since time.Time) {
	if since.IsZero() || !x.trace.recorded || len(x.trace.waits) == maxWaits {
		return
	}
	took := time.Since(since)
	if what == waitToken && took < leastTokenWait {
		return
	}
	x.trace.waits = append(x.trace.waits, waiting{telemetry.NewSpanID(), what, since, took})
}
