package idempotency

import (
	"context"
	"fmt"
	"time"
)

// Finish implements Store. When the file has reached its bound, the outcome is kept without its body.
func (e *Embedded) Finish(ctx context.Context, scope Scope, owner Owner, outcome *Outcome, ttl time.Duration) error {
	if limit := e.options.MaxBytes; limit > 0 && len(outcome.Body) > 0 && e.db.Used()+int64(len(outcome.Body)) > limit {
		outcome = &Outcome{Status: outcome.Status, Fields: outcome.Fields, Omitted: true}
	}
	err := e.settle(scope, owner, func(c *claim) error {
		rec := record{state: stateFinished, until: e.options.Now().Add(ttl), fingerprint: c.fingerprint, letterID: c.letterID}
		return e.storeRecord(ctx, scope, rec, encodeOutcome(outcome))
	})
	if err != nil {
		return fmt.Errorf("finish a key in the key store: %w", err)
	}
	return nil
}

// Release implements Store. It does nothing when owner no longer holds the key.
func (e *Embedded) Release(ctx context.Context, scope Scope, owner Owner) error {
	err := e.settle(scope, owner, func(*claim) error { return e.dropClaim(ctx, scope) })
	if err != nil {
		return fmt.Errorf("release a key in the key store: %w", err)
	}
	return nil
}

// Abandon implements Store. It does nothing when owner no longer holds the key.
func (e *Embedded) Abandon(ctx context.Context, scope Scope, owner Owner, ttl time.Duration) error {
	err := e.settle(scope, owner, func(c *claim) error {
		rec := record{state: stateUnknown, until: e.options.Now().Add(ttl), fingerprint: c.fingerprint, letterID: c.letterID}
		return e.storeRecord(ctx, scope, rec, nil)
	})
	if err != nil {
		return fmt.Errorf("abandon a key in the key store: %w", err)
	}
	return nil
}

// settle ends owner's claim: persist puts what follows it on disk, then the key leaves memory and waiters wake.
//
// When persist fails the key is of unknown outcome at once, as if its lease had run out, so that nobody waits for what
// will not come; its owner may still try again.
func (e *Embedded) settle(scope Scope, owner Owner, persist func(*claim) error) error {
	s := e.shard(scope)
	s.mu.Lock()
	c := s.claims[scope]
	if c == nil || c.owner != owner || c.busy {
		s.mu.Unlock()
		return nil
	}
	c.busy = true
	s.mu.Unlock()

	err := persist(c)

	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = false
	close(c.done)
	if err == nil {
		delete(s.claims, scope)
		return nil
	}
	c.until, c.done = e.options.Now(), make(chan struct{})
	return err
}
