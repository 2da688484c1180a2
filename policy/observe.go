package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// observe publishes each exchange once: when its answer is complete, which for a streamed response is when the last
// byte was passed on.
func observe(s *Settings, h *Host, d Deps) Stage {
	o := &observer{host: h, metrics: d.Metrics.Adapter(h.Identity.ID), log: d.Log, logged: d.Logged, spans: newSpanner(d.Tracer, h.Identity), limited: h.Limiter != nil, secrets: s.Auth != nil || s.Sign != nil}
	return func(next Next) Next {
		return func(x *Exchange) (resp *wire.Response, err error) {
			h.live.inFlight.Add(1)
			defer func() {
				if r := recover(); r != nil {
					resp, err = nil, panicked(r)
				}
				if err == nil && resp.Stream != nil {
					resp.Stream = &observedStream{ReadCloser: resp.Stream, observer: o, x: x, status: resp.Status}
					return
				}
				kind := errorType(resp, err)
				if x.Unknown { // one word everywhere, also when the application went away
					kind = problem.TypeOutcomeUnknown
				}
				o.publish(x, resp, statusOf(resp, err), err, kind)
			}()
			return next(x)
		}
	}
}

// panicked turns a bug of ours into an answer. The stack goes to the log only.
func panicked(r any) error {
	p := problem.New(problem.Internal, "The sidecar failed while handling this call; its log says why.")
	p.Cause = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	return p
}

func statusOf(resp *wire.Response, err error) int {
	if resp != nil && err == nil {
		return resp.Status
	}
	if p, ok := err.(*problem.Problem); ok {
		return p.Status()
	}
	return 0
}

type observer struct {
	host    *Host
	metrics *telemetry.Adapter
	log     *slog.Logger
	logged  *telemetry.Share
	spans   *spanner
	limited bool
	secrets bool
}

// observedStream publishes its exchange when the stream ends. One that breaks off is a failure, although its head was
// fine.
type observedStream struct {
	io.ReadCloser
	observer *observer
	x        *Exchange
	status   int
	err      error
	closed   bool
}

func (s *observedStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && s.err == nil {
		broken := bad("http_response_incomplete", "The external system's response broke off.")
		broken.Cause = err
		if s.err = broken; s.x.Ctx.Err() != nil {
			s.err = s.x.gone()
		}
	}
	return n, err
}

func (s *observedStream) Close() error {
	err := s.ReadCloser.Close()
	if s.closed {
		return err
	}
	s.closed = true
	kind := problem.TypeNone
	switch {
	case s.err != nil:
		kind = errorType(nil, s.err)
	case s.x.Ctx.Err() != nil:
		s.err = s.x.gone()
		kind = errorType(nil, s.err)
	default:
		kind = errorType(&wire.Response{Status: s.status}, nil)
	}
	s.observer.publish(s.x, &wire.Response{Status: s.status}, s.status, s.err, kind)
	return err
}

func (o *observer) publish(x *Exchange, resp *wire.Response, status int, err error, kind problem.ErrorType) {
	now := time.Now()
	took := now.Sub(x.Start)
	o.host.live.inFlight.Add(-1)
	level := slog.LevelInfo
	if x.Accepted == nil && !x.Again { // else nothing has come of the exchange yet
		o.countEnd(x, took, kind)
	}
	o.count(x, kind)
	o.countDelivery(x, resp, err)
	o.recall(x, status, took, err, kind)
	if !x.Again && kind != problem.TypeNone || x.Unjudged != nil {
		level = slog.LevelWarn
	}
	if kind == problem.TypeInternal || x.LetterLost {
		level = slog.LevelError
	}
	o.spans.publish(x, ended{status, kind, now})
	if o.wanted(x, level) {
		o.write(x, level, status, took, err, kind)
	}
}

// countEnd counts an exchange that is done with.
func (o *observer) countEnd(x *Exchange, took time.Duration, kind problem.ErrorType) {
	m := o.metrics
	m.Took(took.Seconds(), x.TraceID, x.SpanID)
	if kind == problem.TypeNone {
		m.Success.Inc()
	} else {
		m.Failure.Inc()
		m.Errors[kind].Inc()
	}
	if retries := len(x.Attempts) - 1; retries > 0 {
		m.Retries.Add(float64(retries))
	}
}

// count counts what was done for an exchange.
func (o *observer) count(x *Exchange, kind problem.ErrorType) {
	m := o.metrics
	for i := range x.Attempts {
		if x.Attempts[i].Error == "" {
			m.Answered.Inc()
		} else {
			m.Unanswered.Inc()
		}
	}
	o.countLimit(x)
	if x.StoreError != nil {
		m.KeysDegraded.Inc()
	}
	if x.RetriesEnded != "" {
		m.Ended[retryEnd(x.RetriesEnded)].Inc()
	}
	if x.Idempotency != "" {
		m.Keys[x.Idempotency].Inc()
	}
	if x.LetterLost {
		m.LettersLost.Inc()
	} else if x.letterKept {
		m.LettersKept.Inc()
	}
	switch {
	case kind == problem.TypeCredentials:
		m.SecretsMissing.Inc()
	case o.secrets && len(x.Attempts) > 0:
		m.SecretsFetched.Inc()
	}
}

// retryEnd is the word of the metric: which kind of answer stopped the retries is in the log.
func retryEnd(why string) string {
	if slices.Contains(telemetry.RetryEnds(), why) {
		return why
	}
	return "stopped"
}

// countDelivery counts what happened to an exchange that was accepted, now or before.
func (o *observer) countDelivery(x *Exchange, resp *wire.Response, err error) {
	switch m := o.metrics; {
	case x.Accepted != nil && !x.Repeated:
		m.Accepted.Inc()
	case x.Delivery == nil:
	case x.Again:
		m.PutBack.Inc()
	case Delivered(resp, err):
		m.Delivered.Inc()
	default:
		m.Failed.Inc()
	}
}

func (o *observer) countLimit(x *Exchange) {
	if !o.limited {
		return
	}
	if len(x.Attempts) > 0 {
		o.metrics.Allowed.Add(float64(len(x.Attempts)))
	}
	if x.LimitHits > 0 {
		o.metrics.Refused.Add(float64(x.LimitHits))
	}
	if x.LimitLocal {
		o.metrics.LimitDegraded.Inc()
	}
	if x.LimitWait > 0 {
		o.metrics.Waited.Inc()
		o.metrics.LimitWait.Observe(x.LimitWait.Seconds())
	}
}

// wanted reports whether the exchange is logged. Of those that are of no interest but for their number, a share is.
func (o *observer) wanted(x *Exchange, level slog.Level) bool {
	ctx := context.Background()
	routine := level == slog.LevelInfo && x.Replay == nil && x.StoreError == nil && x.SpoolError == nil && x.TokenError == nil
	if !routine || o.logged == nil || o.log.Enabled(ctx, slog.LevelDebug) {
		return o.log.Enabled(ctx, level)
	}
	if id := x.trace.context.Trace; id.IsValid() {
		return o.logged.OfTrace(id) && o.log.Enabled(ctx, level)
	}
	return o.logged.OfText(x.CorrelationID) && o.log.Enabled(ctx, level)
}

// write logs the exchange: never a secret, a body or a query value.
func (o *observer) write(x *Exchange, level slog.Level, status int, took time.Duration, err error, kind problem.ErrorType) {
	path, _, _ := strings.Cut(x.Target, "?")
	attrs := make([]slog.Attr, 0, 24)
	attrs = append(attrs,
		slog.String("adapter_id", o.host.Identity.ID), slog.String("adapter_version", o.host.Identity.Version),
		slog.String("method", x.Request.Method), slog.String("path", path), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int("attempts", len(x.Attempts)),
		slog.String("correlation_id", x.CorrelationID))
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	text("operation", x.Operation)
	text("exchange_id", x.exchangeID())
	text("error_type", string(kind))
	text("trace_id", x.TraceID)
	text("span_id", x.SpanID)
	text("tenant_id", x.Tenant)
	text("user_id", x.User)
	text("idempotency", x.Idempotency)
	text("letter_id", x.LetterID)
	text("retries_ended", x.RetriesEnded)
	if x.LimitWait > 0 {
		attrs = append(attrs, slog.Float64("limit_wait_ms", float64(x.LimitWait.Microseconds())/1000))
	}
	for _, flag := range [...]struct {
		name string
		on   bool
	}{{"outcome_unknown", x.Unknown}, {"letter_lost", x.LetterLost}, {"replay", x.Replay != nil},
		{"accepted", x.Accepted != nil}, {"async", x.Delivery != nil}, {"put_back", x.Again}} {
		if flag.on {
			attrs = append(attrs, slog.Bool(flag.name, true))
		}
	}
	for _, e := range [...]struct {
		name string
		err  error
	}{{"error", err}, {"store_error", x.StoreError}, {"spool_error", x.SpoolError}, {"token_error", x.TokenError}, {"unjudged", x.Unjudged}} {
		if e.err != nil {
			attrs = append(attrs, slog.String(e.name, e.err.Error()))
		}
	}
	o.log.LogAttrs(context.Background(), level, "exchange", attrs...)
}
