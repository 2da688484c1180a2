package accepted

import (
	"context"
	"errors"
	"fmt"
)

// Drop removes an exchange that another sidecar took over, and ends its claim.
func (s *Store) Drop(ctx context.Context, c *Claim) error {
	if err := s.do(ctx, 0, func(t *transaction) error { return t.drop([]byte(c.ID)) }); err != nil {
		return fmt.Errorf("drop an exchange that was taken over: %w", err)
	}
	s.replicas.gone(c.entry, false)
	s.replicas.lost.Add(1)
	s.mu.Lock()
	s.queue.remove(c.entry)
	s.mu.Unlock()
	s.wake()
	return nil
}

// dropIdle drops an exchange that another sidecar took over unless a try of it is under way: who makes that finds out.
func (s *Store) dropIdle(id string) {
	s.mu.Lock()
	e := s.queue.entries[id]
	idle := e != nil && s.queue.forget(e)
	s.mu.Unlock()
	if !idle {
		return
	}
	s.replicas.gone(e, false)
	s.replicas.lost.Add(1)
	// When the disk fails it is found again at the next start, and dropped then.
	_ = s.do(context.Background(), 0, func(t *transaction) error { return t.drop([]byte(id)) })
}

// drop removes an exchange that has not ended.
func (t *transaction) drop(id []byte) error {
	r, err := read(t.Tx, id)
	if err != nil {
		return nil
	}
	if t.bytes -= t.sizeOf(id); r.Result != nil {
		return errors.New("the exchange has ended")
	}
	return errors.Join(t.freeScope(r.Scope, id), t.Bucket(bucketHeads()).Delete(id), t.Bucket(bucketBodies()).Delete(id), t.Bucket(bucketOpen()).Delete(integer(r.Sequence)))
}
