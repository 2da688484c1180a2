package policy

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Prober makes the active checks of one external system. They share its connections and nothing else: neither limit nor
// breaker nor metrics of exchanges know of them.
type Prober struct {
	host *Host
	send Next
}

// checkAgent is what checks call themselves. They are the sidecar's own calls.
const checkAgent = "integration-sidecar"

// NewProber compiles the checks of one adapter; nil when there are none.
func NewProber(s *Settings, h *Host, secrets *secret.Resolver) (*Prober, error) {
	if h.checks == nil {
		return nil, nil
	}
	p := &Prober{host: h, send: h.answer}
	if !h.checks.settings.Auth {
		return p, nil
	}
	stage, err := accessToken(s.Auth, h, secrets)
	if stage == nil && err == nil {
		stage = credentials(s.Auth, h, secrets)
	}
	if stage != nil {
		p.send = stage(p.send)
	}
	return p, err
}

// Check makes one check and returns how things stood before and stand now. A check that ctx ends says nothing.
func (p *Prober) Check(ctx context.Context) (before, now CheckState) {
	c, start := &p.host.checks.settings, time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout.D())
	defer cancel()
	x := &Exchange{Ctx: ctx, Start: start, Deadline: start.Add(c.Timeout.D()), Adapter: p.host.Identity,
		attempt: wire.Request{Method: c.Method, Target: p.host.Identity.Base + c.Path, Fields: wire.Fields{{Name: "User-Agent", Value: checkAgent}}}}
	resp, err := p.send(x)
	before = *p.host.checks.state.Load()
	if context.Cause(ctx) == context.Canceled {
		return before, before
	}
	now = c.judge(before, resp, err)
	if now.At = time.Now(); now.Verdict != before.Verdict {
		now.Since = now.At
	}
	now.Took = now.At.Sub(start)
	p.host.checks.state.Store(&now)
	return before, now
}

// judge says what one answer makes of the verdict so far. A 429 is about the number of calls, so it changes nothing.
func (c *Health) judge(before CheckState, resp *wire.Response, err error) CheckState {
	now := CheckState{Verdict: Down, Since: before.Since}
	if err != nil {
		now.Why = "no answer"
		if p, ok := err.(*problem.Problem); ok {
			now.Why = strings.TrimSuffix(p.Detail, ".")
		}
		return now
	}
	now.Status = resp.Status
	if resp.Status == 429 || resp.Status == 503 {
		now.Wait = min(retryAfter(resp.Fields, time.Now()), maxCheckWait)
	}
	switch {
	case slices.ContainsFunc(c.Expect, func(s string) bool { return matchesStatus(s, resp.Status) }):
		now.Verdict = Up
		return now
	case resp.Status == 429:
		now.Verdict = before.Verdict
	}
	now.Why = "it answered " + strconv.Itoa(resp.Status)
	return now
}

// maxCheckWait bounds what an external system can ask for: the longest interval that can be configured.
const maxCheckWait = 24 * time.Hour

// answer sends a check through the connections of the adapter and returns the answer's head.
func (h *Host) answer(x *Exchange) (*wire.Response, error) { return h.ask(x, false) }

func (h *Host) ask(x *Exchange, again bool) (*wire.Response, error) {
	ctx, cancel := context.WithCancel(x.Ctx)
	defer cancel()
	answer, sending, err := h.engine.roundTrip(ctx, cancel, x)
	if err != nil && (sending.reused || sending.again) && x.Ctx.Err() == nil && !again {
		return h.ask(x, true) // the connection was idle for an interval: that it has ended says nothing
	}
	if err != nil {
		return nil, h.unanswered(x.Ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	// Read to its end, so that the connection serves the next; more than that is not worth a connection.
	if _, err := readBounded(answer.Body, make([]byte, 0, 512), smallBody); err != nil && err != errTooLong {
		return nil, h.unanswered(x.Ctx, err)
	}
	return &wire.Response{Status: answer.StatusCode, Fields: wire.FromHeader(answer.Header)}, nil
}

func (h *Host) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return problem.New(problem.UpstreamTimeout, "It did not answer within "+h.checks.settings.Timeout.String()+".")
	}
	return describe(err)
}

// NextCheck is how long to wait after a check, or before the first: so that the sidecars of a fleet do not all ask at once.
func (h *Host) NextCheck() time.Duration {
	interval, state := h.CheckEvery(), h.checks.state.Load()
	if state.At.IsZero() {
		return rand.N(interval/10 + 1)
	}
	return max(interval*9/10+rand.N(interval/5+1), state.Wait)
}
