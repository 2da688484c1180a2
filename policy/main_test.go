package policy

import (
	"context"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testSettings are the built-in values, which internal/config takes from the struct tags, without jitter.
func testSettings() *Settings {
	s := &Settings{}
	s.Timeout = Timeout{Attempt: units.Duration(30 * time.Second), Total: units.Duration(120 * time.Second), Connect: units.Duration(5 * time.Second)}
	s.MaxBody = 1 << 20
	s.Idempotency = &Idempotency{Header: "X-Idempotency-Key", Format: "raw", TTL: units.Duration(24 * time.Hour),
		Lease: units.Duration(5 * time.Minute), ProviderTTL: units.Duration(24 * time.Hour), Store: "fail_open"}
	s.Retry = &Retry{MaxRetries: 3, InitialDelay: units.Duration(time.Second), MaxDelay: units.Duration(30 * time.Second), Multiplier: 2,
		Budget: 0.2, On: []string{"network", "timeout", "429", "5xx"}, Methods: []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}}
	s.DeadLetter = &DeadLetter{On: []string{"network", "timeout", "429", "5xx", "circuit_open", "outcome_unknown"},
		Methods: []string{"POST", "PUT", "PATCH", "DELETE"}}
	s.Host.Breaker = &Breaker{FailureThreshold: 5, SuccessThreshold: 2, ResetTimeout: units.Duration(time.Minute), Share: "off"}
	return s
}

func testIdentity() *Identity {
	return &Identity{Name: "erp", ID: "erp-main", Version: "1.2.3", Origin: "http://erp.test"}
}

// testHost is the state of a system at rawURL; "" for stages that never call it.
func testHost(t testing.TB, rawURL string, s *Settings) *Host {
	t.Helper()
	if rawURL == "" {
		rawURL = "http://erp.test"
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	id := testIdentity()
	id.Origin, id.Base = u.Scheme+"://"+u.Host, strings.TrimRight(u.EscapedPath(), "/")
	h, err := NewHost(HostConfig{Identity: id, Upstream: u, Settings: s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Retire(nil) })
	return h
}

// testExchange is one call with two minutes to live.
func testExchange(t testing.TB, method, target, body string) *Exchange {
	now := time.Now()
	x := &Exchange{Ctx: t.Context(), Start: now, Deadline: now.Add(2 * time.Minute), Adapter: testIdentity(), Target: target,
		CorrelationID: "corr-1", Request: wire.Request{Method: method, Target: target}}
	if body != "" {
		x.Request.Body.Bytes = []byte(body)
	}
	return x
}

// outcome is what one attempt of a script comes to.
type outcome struct {
	status int
	fields wire.Fields
	err    error
	sent   bool
	never  bool          // stopped by one of our own policies: no attempt is recorded
	takes  time.Duration // until it is known
	before func(*Exchange)
}

func answered(status int, fields ...string) outcome {
	o := outcome{status: status, sent: true}
	for i := 0; i < len(fields); i += 2 {
		o.fields.Add(fields[i], fields[i+1])
	}
	return o
}

func broke(kind problem.Kind, sent bool) outcome {
	return outcome{err: problem.New(kind, "It broke."), sent: sent}
}

func stopped(kind problem.Kind) outcome {
	return outcome{err: problem.New(kind, "Stopped here."), never: true}
}

// script stands for the rest of the chain: it plays one outcome per call and keeps the books as transmit does.
type script struct {
	t        testing.TB
	outcomes []outcome
	at       []time.Time
	sentAs   []wire.Request
	bodies   []*trackedBody
}

func play(t testing.TB, outcomes ...outcome) *script { return &script{t: t, outcomes: outcomes} }

func (s *script) next(x *Exchange) (*wire.Response, error) {
	n := len(s.at)
	began := x.attempt
	began.Fields = began.Fields.Clone(0) // later stages change the attempt
	s.at, s.sentAs = append(s.at, time.Now()), append(s.sentAs, began)
	if n >= len(s.outcomes) {
		s.t.Fatalf("call %d of the chain, the script has %d", n+1, len(s.outcomes))
	}
	o := s.outcomes[n]
	if o.before != nil {
		o.before(x)
	}
	if o.takes > 0 {
		if err := x.wait(o.takes); err != nil {
			o.err, o.sent = err, true
		}
	}
	if !o.never {
		a := dlq.Attempt{Number: len(x.Attempts) + 1, Start: s.at[n], Status: o.status, Sent: o.sent}
		if o.err != nil {
			a.Error, a.Status = attemptError(o.err), 0
		}
		x.Attempts = append(x.Attempts, a)
	}
	if o.err != nil {
		return nil, o.err
	}
	body := &trackedBody{Reader: strings.NewReader("answer")}
	s.bodies = append(s.bodies, body)
	return &wire.Response{Status: o.status, Fields: o.fields.Clone(0), Stream: body, Length: 6}, nil
}

// calls fails the test unless the chain was called n times.
func (s *script) calls(n int) {
	s.t.Helper()
	if len(s.at) != n {
		s.t.Errorf("the chain was called %d times, want %d", len(s.at), n)
	}
}

// waits are the times between the calls.
func (s *script) waits() []time.Duration {
	var list []time.Duration
	for i := 1; i < len(s.at); i++ {
		list = append(list, s.at[i].Sub(s.at[i-1]))
	}
	return list
}

type trackedBody struct {
	io.Reader
	mu     sync.Mutex
	closed bool
}

func (b *trackedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// kindOf is the kind of a problem, "canceled", or "" of none.
func kindOf(err error) problem.Kind {
	if p, ok := err.(*problem.Problem); ok {
		return p.Kind
	}
	if err == ErrCanceled {
		return "canceled"
	}
	if err != nil {
		return problem.Kind("not a problem: " + err.Error())
	}
	return ""
}

func cancelable(x *Exchange) context.CancelFunc {
	ctx, cancel := context.WithCancel(x.Ctx)
	x.Ctx = ctx
	return cancel
}

// keyStages are the pair of stages that deal with keys.
func keyStages(s *Settings, id *Identity, store idempotency.Store) Stage {
	find, once := identify(s, id), idempotent(s, store)
	if find == nil {
		return nil
	}
	return func(next Next) Next { return find(once(next)) }
}
