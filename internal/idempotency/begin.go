package idempotency

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// Begin implements Store. A granted claim is on disk when Begin returns; the other verdicts are found without writing.
func (e *Embedded) Begin(ctx context.Context, r Request) (Decision, error) {
	now := e.options.Now()
	s := e.shard(r.Scope)
	s.mu.Lock()
	held := s.claims[r.Scope]
	d, free, err := e.judge(held, r, now)
	if err != nil || !free {
		s.mu.Unlock()
		return d, err
	}
	c := newClaim(r, now)
	s.claims[r.Scope] = c
	s.mu.Unlock()
	return e.grant(ctx, r.Scope, c, held)
}

// judge decides on a key whose shard is locked; free means that it may be claimed.
func (e *Embedded) judge(held *claim, r Request, now time.Time) (d Decision, free bool, err error) {
	if held == nil {
		return e.judgeStored(r, now)
	}
	ranOut := !now.Before(held.until) && !held.busy
	switch {
	case ranOut && !now.Before(held.until.Add(e.options.UnknownTTL)):
		return Decision{}, true, nil
	case held.fingerprint != r.Fingerprint:
		return Decision{Verdict: Reused}, false, nil
	case !ranOut:
		return Decision{Verdict: InFlight, Done: held.done}, false, nil
	case r.Resend:
		return Decision{}, true, nil
	}
	return Decision{Verdict: Unknown, LetterID: held.letterID}, false, nil
}

// judgeStored decides on a key that nobody in this process holds.
func (e *Embedded) judgeStored(r Request, now time.Time) (d Decision, free bool, err error) {
	rec, outcome, err := e.load(r.Scope, now)
	switch {
	case err != nil:
		return Decision{}, false, fmt.Errorf("read the key store: %w", err)
	case rec == nil:
		return Decision{}, true, nil
	case !rec.damaged && rec.fingerprint != r.Fingerprint:
		return Decision{Verdict: Reused}, false, nil
	case rec.state == stateFinished:
		return Decision{Verdict: Replay, Outcome: outcome}, false, nil
	case r.Resend:
		return Decision{}, true, nil
	}
	return Decision{Verdict: Unknown, LetterID: rec.letterID}, false, nil
}

func newClaim(r Request, now time.Time) *claim {
	c := &claim{
		record: record{state: stateClaimed, until: now.Add(r.Lease), fingerprint: r.Fingerprint, letterID: r.LetterID},
		done:   make(chan struct{}),
		busy:   true,
	}
	_, _ = rand.Read(c.owner[:]) // never fails (crypto/rand)
	return c
}

// grant puts c, already in its shard, on disk. When that fails, the key is again what it was before: former is the
// claim c was to take over, or nil.
func (e *Embedded) grant(ctx context.Context, scope Scope, c, former *claim) (Decision, error) {
	err := e.storeClaim(ctx, scope, c.record)
	s := e.shard(scope)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = false
	if err != nil {
		delete(s.claims, scope)
		if former != nil {
			s.claims[scope] = former
		}
		close(c.done)
		return Decision{}, fmt.Errorf("claim a key in the key store: %w", err)
	}
	if former != nil {
		close(former.done)
	}
	return Decision{Verdict: Granted, Owner: c.owner}, nil
}
