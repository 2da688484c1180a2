package idempotency

import (
	"container/list"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// A step ends a claim.
type step string

const (
	finish  step = "finish"
	release step = "release"
	abandon step = "abandon"
	undo    step = "undo" // of a claim that nobody heard was granted
)

// A settlement is how a claim ended, on its way to Redis.
type settlement struct {
	step        step
	scope       Scope
	owner       Owner
	fingerprint Fingerprint
	letterID    string
	outcome     atomic.Pointer[[]byte] // encoded; of finish
	until       time.Time              // afterwards it means nothing to anybody
	place       *list.Element          // guarded by pending
	tries       int                    // in the background, in vain; guarded by pending
}

func (s *settlement) body() []byte {
	if b := s.outcome.Load(); b != nil {
		return *b
	}
	return nil
}

// at is the same end at a later turn of the owner.
func (s *settlement) at(owner Owner) *settlement {
	later := &settlement{step: s.step, scope: s.scope, owner: owner, fingerprint: s.fingerprint, letterID: s.letterID, until: s.until}
	later.outcome.Store(s.outcome.Load())
	return later
}

// judge decides on a key whose end Redis has not taken yet.
func (s *settlement) judge(q Request, now time.Time) (d Decision, unsure bool) {
	switch {
	case !now.Before(s.until), s.step == release, s.step == undo:
		return Decision{}, true
	case s.fingerprint != q.Fingerprint:
		return Decision{Verdict: Reused}, false
	case s.step == finish:
		outcome, err := decodeOutcome(s.body())
		return Decision{Verdict: Replay, Outcome: outcome}, err != nil
	case q.Resend:
		return Decision{}, true
	}
	return Decision{Verdict: Unknown, LetterID: s.letterID}, false
}

// Finish implements Store. A body above RedisOptions.MaxBody is left out.
func (r *Redis) Finish(ctx context.Context, scope Scope, owner Owner, outcome *Outcome, ttl time.Duration) error {
	if len(outcome.Body) > r.options.MaxBody {
		outcome = &Outcome{Status: outcome.Status, Fields: outcome.Fields, Omitted: true}
	}
	encoded := encodeOutcome(outcome)
	return r.settle(ctx, scope, owner, finish, ttl, &encoded)
}

// Release implements Store. It does nothing when owner no longer holds the key.
func (r *Redis) Release(ctx context.Context, scope Scope, owner Owner) error {
	return r.settle(ctx, scope, owner, release, 0, nil)
}

// Abandon implements Store. It does nothing when owner no longer holds the key.
func (r *Redis) Abandon(ctx context.Context, scope Scope, owner Owner, ttl time.Duration) error {
	return r.settle(ctx, scope, owner, abandon, ttl, nil)
}

// settle ends owner's claim: at once for this process, for others when Redis took it. An error means that Redis did
// not, by the end of ctx; it is then tried again in the background. A release is worth trying for as long as the claim
// would be in doubt.
func (r *Redis) settle(ctx context.Context, scope Scope, owner Owner, how step, ttl time.Duration, outcome *[]byte) error {
	t := r.table(scope)
	t.mu.Lock()
	h := t.holds[scope]
	if h == nil || h.owner != owner || h.settling != nil {
		t.mu.Unlock()
		return nil
	}
	s := &settlement{step: how, scope: scope, owner: owner, fingerprint: h.fingerprint, letterID: h.letterID, until: r.options.Now().Add(ttl)}
	if how == release {
		s.until = h.until.Add(r.options.UnknownTTL)
	}
	s.outcome.Store(outcome)
	h.settling = s
	h.wake()
	t.mu.Unlock()

	if err := r.send(ctx, s); err != nil {
		r.postpone(s)
		return fmt.Errorf("%s a key in Redis: %w", how, err)
	}
	r.recent.add(s)
	r.forget(s)
	return nil
}

// send tells Redis how a claim ended.
func (r *Redis) send(ctx context.Context, s *settlement) error {
	call := r.callSettle(s, r.options.Now())
	reply, err := r.client.Run(ctx, call.Script, call.Key, call.Args...)
	return taken(shared.Reply{Value: reply, Err: err})
}

func taken(reply shared.Reply) error {
	if _, ok := reply.Value.(string); !ok && reply.Err == nil {
		return fmt.Errorf("%w %v", errReply, reply.Value)
	}
	return reply.Err
}

// forget ends what this process knows of a key: Redis knows it now, or nobody ever will.
func (r *Redis) forget(s *settlement) {
	t := r.table(s.scope)
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.holds[s.scope]; h != nil && h.settling == s {
		delete(t.holds, s.scope)
	}
}
