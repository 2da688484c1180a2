package idempotency

import (
	"context"
	"errors"
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// An ask is one question to Redis that all callers of this process share who want to know the same.
type ask struct {
	request Request
	owner   Owner
	former  *settlement // how the key's last call of this process ended, if Redis has not taken it
	sent    bool        // Redis may have heard the question

	ready    chan struct{} // closed when there is an answer
	decision Decision
	err      error
	alone    bool // the answer is of no use to others: its caller left, or was granted the key
}

// Begin implements Store. It waits for Redis as long as ctx, or the client's budget, whichever ends first. When others
// of this process are asking for the key already and ctx reaches its deadline, the key is InFlight.
func (r *Redis) Begin(ctx context.Context, q Request) (Decision, error) {
	if err := ctx.Err(); err != nil && !(q.FailOpen && errors.Is(err, context.DeadlineExceeded)) {
		return Decision{}, fmt.Errorf("claim a key in Redis: %w", err)
	}
	t := r.table(q.Scope)
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return Decision{}, ErrClosed
		}
		d, unsure := r.judge(t, q)
		if !unsure {
			t.mu.Unlock()
			return d, nil
		}
		others := t.asks[q.Scope]
		if others == nil {
			a := newAsk(q, t.holds[q.Scope])
			t.asks[q.Scope] = a
			t.mu.Unlock()
			return r.answer(ctx, t, a)
		}
		t.mu.Unlock()
		select {
		case <-others.ready:
			if others.answers(q) {
				return others.decision, others.err
			}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return Decision{Verdict: InFlight, Done: others.ready}, nil
			}
			return Decision{}, fmt.Errorf("claim a key in Redis: %w", ctx.Err())
		}
	}
}

// judge decides on what this process knows; unsure means that Redis has to be asked. t is locked.
func (r *Redis) judge(t *table, q Request) (d Decision, unsure bool) {
	now := r.options.Now()
	if w := t.watches[q.Scope]; w != nil {
		return w.judge(q)
	}
	if h := t.holds[q.Scope]; h != nil {
		return h.judge(q, now)
	}
	return Decision{}, true
}

// newAsk asks as a new owner, or, for a key whose last end Redis does not know yet, as the same at its next turn.
func newAsk(q Request, former *hold) *ask {
	a := &ask{request: q, owner: newOwner(), ready: make(chan struct{})}
	if former != nil && former.settling != nil {
		a.owner, a.former = former.settling.owner.next(), former.settling
	}
	return a
}

func (a *ask) answers(q Request) bool {
	return !a.alone && a.request.Fingerprint == q.Fingerprint && a.request.Resend == q.Resend && a.request.FailOpen == q.FailOpen
}

// answer asks Redis and makes the answer known.
func (r *Redis) answer(ctx context.Context, t *table, a *ask) (Decision, error) {
	found, err := r.claim(ctx, a)
	t.mu.Lock()
	defer t.mu.Unlock()
	a.decision, a.err = r.conclude(ctx, t, a, found, err)
	a.alone = a.decision.Verdict == Granted && a.err == nil || a.err != nil && ctx.Err() != nil
	delete(t.asks, a.request.Scope)
	close(a.ready)
	return a.decision, a.err
}

func (r *Redis) claim(ctx context.Context, a *ask) (found, error) {
	if err := ctx.Err(); err != nil {
		return found{}, err
	}
	if a.former != nil && a.former.step == undo { // only Redis knows what it leads back to
		if err := r.send(ctx, a.former); err != nil {
			return found{}, err
		}
		a.owner = newOwner()
	}
	q, resend := a.request, "0"
	if q.Resend {
		resend = "1"
	}
	reply, err := r.client.Run(ctx, r.scripts.claim, r.key(q.Scope), a.owner.String(), q.Fingerprint[:], q.LetterID, resend,
		millis(min(q.Lease, r.options.Liveness)), millis(q.Lease), millis(r.options.UnknownTTL))
	a.sent = !errors.Is(err, shared.ErrDown)
	if err != nil {
		return found{}, err
	}
	return parseFound(reply)
}

// conclude turns what Redis answered, or did not, into a decision. t is locked.
func (r *Redis) conclude(ctx context.Context, t *table, a *ask, found found, err error) (Decision, error) {
	q, now := a.request, r.options.Now()
	switch {
	case err != nil && q.FailOpen && !errors.Is(ctx.Err(), context.Canceled):
		return r.concludeAlone(t, a, err), nil
	case err != nil:
		if a.sent {
			r.takeBack(t, a)
		}
		return Decision{}, fmt.Errorf("claim a key in Redis: %w", err)
	case found.verdict == Granted:
		r.grant(t, newHold(q, a.owner, now))
		return Decision{Verdict: Granted, Owner: a.owner}, nil
	case found.verdict == InFlight:
		return Decision{Verdict: InFlight, Done: r.watch(t, q, found.token, found.letter)}, nil
	}
	return Decision{Verdict: found.verdict, Outcome: found.outcome, LetterID: found.letter}, nil
}

// concludeAlone decides without Redis, which failed with why. t is locked.
func (r *Redis) concludeAlone(t *table, a *ask, why error) Decision {
	q, now := a.request, r.options.Now()
	if d, unsure := r.judge(t, q); !unsure { // it ended while Redis was asked
		return d
	}
	if d, free := t.holds[q.Scope].judgeAlone(q, now); !free {
		return d
	}
	if s := r.recent.get(q.Scope); s != nil {
		if d, unsure := s.judge(q, now); !unsure {
			return d
		}
	}
	r.degraded.Add(1)
	r.grant(t, newHold(q, a.owner, now))
	return Decision{Verdict: Granted, Owner: a.owner, Degraded: why}
}

// grant puts h in the place of what was known of its key.
func (r *Redis) grant(t *table, h *hold) {
	if former := t.holds[h.scope]; former != nil {
		former.wake()
		if former.settling != nil {
			r.pending.remove(former.settling)
		}
	}
	t.holds[h.scope] = h
	r.recent.forget(h.scope)
}

// takeBack undoes, in the background, a claim that Redis may have granted without anybody hearing of it. A key whose
// last end is pending gets that end, at the claim's turn.
func (r *Redis) takeBack(t *table, a *ask) {
	q, now := a.request, r.options.Now()
	back := &settlement{step: undo, scope: q.Scope, owner: a.owner, fingerprint: q.Fingerprint, letterID: q.LetterID, until: now.Add(r.options.UnknownTTL)}
	former := t.holds[q.Scope]
	switch {
	case t.closed:
		return
	case former == nil:
	case former.settling == nil || former.settling != a.former: // a late owner has not been heard of, or just now
		r.pending.add(back)
		return
	default:
		if a.former.step != undo && now.Before(a.former.until) {
			back = a.former.at(a.owner)
		}
		r.pending.remove(a.former)
	}
	h := newHold(q, a.owner, now)
	h.settling = back
	h.wake()
	t.holds[q.Scope] = h
	r.pending.add(back)
}
