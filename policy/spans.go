package policy

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

// spanner makes the spans of an adapter's exchanges when they are over. No attribute holds a key, a body, the value of
// a query or anything that only the attempt's private copy has.
type spanner struct {
	tracer *telemetry.Tracer
	origin string
	common []attribute.KeyValue // of an exchange
	server []attribute.KeyValue // of an attempt
}

func newSpanner(t *telemetry.Tracer, id *Identity) *spanner {
	s := &spanner{tracer: t, origin: id.Origin, common: []attribute.KeyValue{
		attribute.String("adapter.id", id.ID), attribute.String("adapter.version", id.Version)}}
	if u, err := url.Parse(id.Origin); err == nil {
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			port = map[string]int{"http": 80, "https": 443}[u.Scheme]
		}
		s.server = []attribute.KeyValue{semconv.ServerAddress(u.Hostname()), semconv.ServerPort(port)}
	}
	return s
}

// ended is what came of an exchange.
type ended struct {
	status int
	kind   problem.ErrorType
	at     time.Time
}

// publish tells of a recorded exchange.
func (s *spanner) publish(x *Exchange, e ended) {
	if !x.trace.recorded {
		return
	}
	s.tracer.Publish(s.exchange(x, e))
	for i := range x.trace.waits {
		w := &x.trace.waits[i]
		s.tracer.Publish(s.part(x, w.span, "wait."+w.what, w.start, w.took))
	}
	for i := range x.Attempts {
		if i < len(x.trace.sends) {
			s.tracer.Publish(s.attempt(x, &x.Attempts[i], &x.trace.sends[i]))
		}
	}
}

// part is a span within that of the exchange.
func (s *spanner) part(x *Exchange, id trace.SpanID, name string, start time.Time, took time.Duration) *telemetry.Span {
	c := x.trace.context
	c.Span = id
	return &telemetry.Span{Name: name, Kind: trace.SpanKindInternal, Context: c, Parent: x.trace.context.Span, State: x.trace.state,
		Start: start, End: start.Add(took)}
}

// exchange is the span of the whole, which serves a call of the application, unless the sidecar itself began it.
func (s *spanner) exchange(x *Exchange, e ended) *telemetry.Span {
	span := &telemetry.Span{Name: "integration.execute", Kind: trace.SpanKindServer, Context: x.trace.context, Parent: x.trace.parent, Remote: true,
		State: x.trace.state, Start: x.Start, End: e.at}
	if x.Delivery != nil || x.Replay != nil {
		span.Kind = trace.SpanKindInternal
	}
	if x.trace.link.Span.IsValid() {
		span.Links = []telemetry.TraceContext{x.trace.link}
	}
	path, _, _ := strings.Cut(x.Target, "?")
	list := make([]attribute.KeyValue, 0, 20)
	list = append(append(list, s.common...), attribute.String("correlation.id", x.CorrelationID), semconv.URLPath(asText(path)), semconv.URLScheme("http"),
		attribute.Int("integration.attempts", len(x.Attempts)))
	list = append(list, methodOf(x)...)
	text := func(name, value string) {
		if value != "" {
			list = append(list, attribute.String(name, asText(value)))
		}
	}
	text("tenant.id", x.Tenant)
	text("integration.operation", x.Operation)
	text("integration.exchange_id", x.exchangeID())
	text("integration.idempotency", x.Idempotency)
	text("integration.letter_id", x.LetterID)
	text("integration.retries_ended", x.RetriesEnded)
	text("error.type", string(e.kind))
	if e.status != 0 {
		list = append(list, semconv.HTTPResponseStatusCode(e.status))
	}
	span.Attributes = list
	refused := e.status >= 400 && e.status < 500 // which is no error of who answers, by the semantic conventions
	span.Failed = e.kind != problem.TypeNone && (!refused || e.kind == problem.TypeOutcomeUnknown)
	return span
}

// attempt is the span of one request to the external system, by the semantic conventions of HTTP clients.
func (s *spanner) attempt(x *Exchange, a *dlq.Attempt, sent *send) *telemetry.Span {
	span := s.part(x, sent.span, knownMethod(x.Request.Method), a.Start, a.Duration)
	span.Kind = trace.SpanKindClient
	list := make([]attribute.KeyValue, 0, 12)
	list = append(append(list, s.server...), semconv.URLFull(s.origin+asText(redacted(x.Request.Target))))
	list = append(list, methodOf(x)...)
	if _, pattern, found := strings.Cut(x.Operation, " "); found {
		span.Name += " " + pattern
		list = append(list, semconv.URLTemplate(pattern))
	}
	if sent.protocol != "" {
		list = append(list, semconv.NetworkProtocolVersion(sent.protocol))
	}
	if a.Number > 1 {
		list = append(list, semconv.HTTPRequestResendCount(a.Number-1))
	}
	switch {
	case a.Error != "":
		span.Failed, span.Why = true, a.Error
		list = append(list, semconv.ErrorTypeKey.String(specific(a.Error)))
	case a.Status >= 400:
		span.Failed = true
		list = append(list, semconv.ErrorTypeKey.String(strconv.Itoa(a.Status)))
	}
	if a.Status != 0 {
		list = append(list, semconv.HTTPResponseStatusCode(a.Status))
	}
	span.Attributes = list
	return span
}

// specific is the RFC 9209 error type of an attempt's error where there is one, else its kind.
func specific(text string) string {
	kind, rest, found := strings.Cut(text, " (")
	if !found {
		return kind
	}
	return strings.TrimSuffix(rest, ")")
}

// knownMethod is the method in the name of a span, which must not be a stranger's invention.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY":
		return method
	}
	return "HTTP"
}

func methodOf(x *Exchange) []attribute.KeyValue {
	method := x.Request.Method
	if knownMethod(method) == method {
		return []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(method)}
	}
	return []attribute.KeyValue{semconv.HTTPRequestMethodKey.String("_OTHER"), semconv.HTTPRequestMethodOriginal(asText(method))}
}

// redacted is a target whose query tells names and no values.
func redacted(target string) string {
	path, query, found := strings.Cut(target, "?")
	if !found {
		return target
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, _, named := strings.Cut(part, "="); named {
			parts[i] = name + "=REDACTED"
		} else if part != "" {
			parts[i] = "REDACTED"
		}
	}
	return path + "?" + strings.Join(parts, "&")
}

// asText makes a stranger's bytes text. One that is not would cost the whole batch it is sent with.
func asText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
