package policy

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// smallBody is the largest response of known length that is read whole before it is passed on, in bytes: small enough
// to cost nothing, large enough that nearly every truncated answer of an API is caught and tried again.
const smallBody = 64 << 10

// transmit is the end of the chain: it sends the attempt and returns what came back.
func transmit(s *Settings, h *Host) Next {
	t := &transmitter{engine: h.engine, live: h.live, timeout: s.Timeout.Attempt.D(), maxBody: int64(s.MaxBody), inside: s.looksInside(),
		signed: responseRuleOf(s), careful: s.DeadLetter != nil || s.Retry != nil && s.Retry.MaxRetries > 0}
	return t.send
}

type transmitter struct {
	engine  *engine
	live    *live
	timeout time.Duration
	maxBody int64
	inside  bool          // a policy looks into JSON responses: they are read whole
	signed  *responseRule // nil: no response is verified
	careful bool          // a write whose answer breaks off is tried again or kept: its answer is read whole
}

func (t *transmitter) send(x *Exchange) (*wire.Response, error) {
	start := time.Now()
	if !x.Deadline.After(start) { // used up while waiting for a token: nothing is sent
		return nil, totalTimeout()
	}
	deadline := start.Add(t.timeout)
	total := !x.Deadline.After(deadline)
	if total {
		deadline = x.Deadline
	}
	ctx, cancel := context.WithDeadline(x.Ctx, deadline)
	x.sends()
	resp, sending, err := t.exchange(ctx, cancel, x)
	record := x.record(dlq.Attempt{Start: start, Duration: time.Since(start), Sent: sending.sent()})
	t.live.lastEnd.Store(start.Add(record.Duration).UnixNano())
	if err != nil {
		err = t.failed(ctx, x, err, total)
		cancel()
		record.Error = attemptError(err)
		t.live.failed(failureText(err))
		return nil, err
	}
	record.Status = resp.Status
	t.live.answered(record.Duration, resp)
	return resp, nil
}

// record adds an attempt to the exchange's.
func (x *Exchange) record(a dlq.Attempt) *dlq.Attempt {
	a.Number = len(x.Attempts) + 1
	x.Attempts = append(x.Attempts, a)
	return &x.Attempts[len(x.Attempts)-1]
}

// exchange sends the request and reads the response, whole when it is small or must be kept, else its head.
func (t *transmitter) exchange(ctx context.Context, cancel context.CancelFunc, x *Exchange) (*wire.Response, *sending, error) {
	answer, sending, err := t.engine.roundTrip(ctx, cancel, x)
	if err != nil {
		return nil, sending, err
	}
	x.spoke(answer.ProtoMajor)
	if answer.StatusCode < 200 || answer.StatusCode > 999 { // 101, though nobody asked to switch protocols (RFC 9110 section 15.2.2), or no status at all
		_ = answer.Body.Close()
		return nil, sending, errNotFinal
	}
	resp := &wire.Response{Status: answer.StatusCode, Fields: wire.FromHeader(answer.Header).EndToEnd(), Length: answer.ContentLength}
	if answer.ContentLength < 0 || len(answer.Trailer) > 0 {
		resp.Trailer = func() wire.Fields { return wire.FromHeader(answer.Trailer).EndToEnd() }
	}
	body := &attemptBody{ReadCloser: answer.Body, cancel: cancel}
	limit := t.readWhole(x, resp)
	if limit < 0 {
		resp.Stream = body
		return resp, sending, nil
	}
	return resp, sending, readUpTo(resp, body, limit)
}

// readWhole returns how much of the body is read before the response is passed on; -1 streams it.
func (t *transmitter) readWhole(x *Exchange, resp *wire.Response) int64 {
	switch {
	case t.signed.concerns(resp):
		return t.maxBody
	case (x.keep || t.careful && isWrite(x.Request.Method)) && !isEventStream(resp), retriable(resp), t.inside && x.mayTell(resp):
		return t.maxBody
	case resp.Length >= 0 && resp.Length <= smallBody:
		return smallBody
	}
	return -1
}

// retriable reports whether another attempt may follow this response, which then may be the last real answer.
func retriable(resp *wire.Response) bool { return judgements[classify(resp, nil)].retry != "" }

func isEventStream(resp *wire.Response) bool {
	const eventStream = "text/event-stream"
	contentType := resp.Fields.Get("Content-Type")
	return len(contentType) >= len(eventStream) && strings.EqualFold(contentType[:len(eventStream)], eventStream)
}

// readUpTo reads the body into Content. A body beyond the limit is passed on as a stream that starts with what was read.
func readUpTo(resp *wire.Response, body *attemptBody, limit int64) error {
	size := min(limit, 4<<10)
	if resp.Length >= 0 {
		if resp.Length > limit {
			resp.Stream = body
			return nil
		}
		size = resp.Length
	}
	content, err := readBounded(body, make([]byte, 0, size+1), limit)
	if errors.Is(err, errTooLong) {
		resp.Stream = &prefixed{prefix: content, attemptBody: body}
		return nil
	}
	_ = body.Close()
	resp.Content = content
	return err
}

var errNotFinal = errors.New("the external system's status is not one of a final response")

var errTooLong = errors.New("the body is longer than its bound")

// readBounded appends r to buf until its end. Past limit bytes it stops and returns errTooLong with what it has.
func readBounded(r io.Reader, buf []byte, limit int64) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf, errTooLong
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// attemptBody ends its attempt's deadline when it is closed.
type attemptBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *attemptBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// prefixed is a body whose beginning was read already.
type prefixed struct {
	prefix []byte
	*attemptBody
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) > 0 {
		n := copy(b, p.prefix)
		p.prefix = p.prefix[n:]
		return n, nil
	}
	return p.attemptBody.Read(b)
}

// failed turns an error of the engine into the contract's words.
func (t *transmitter) failed(ctx context.Context, x *Exchange, err error, total bool) error {
	late := !time.Now().Before(x.Deadline) // also when the application's body came too slowly, which ends its context
	if x.Ctx.Err() != nil && !late {
		return x.gone()
	}
	if total = total || late; late || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p := totalTimeout()
		if !total {
			p = problem.New(problem.UpstreamTimeout, "The external system did not answer within "+t.timeout.String()+".")
		}
		p.Cause = unquoted{err}
		return p
	}
	p := describe(err)
	p.Cause = unquoted{err}
	return p
}

func totalTimeout() *problem.Problem {
	return problem.New(problem.TotalTimeout, "The call's total time was used up before the external system answered.")
}

// attemptError is what a letter and the log say of a failed attempt: the kind and the RFC 9209 error type.
func attemptError(err error) string {
	p, ok := err.(*problem.Problem)
	if !ok {
		return "canceled"
	}
	if p.ProxyError != "" {
		return string(p.Kind) + " (" + p.ProxyError + ")"
	}
	return string(p.Kind)
}
