package idempotency

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff makes pauses that grow, half as long again each time, up to most. Each is up to a quarter shorter or longer,
// so that processes do not go in step.
type backoff struct{ next, most time.Duration }

// wait pauses; false when ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	timer := time.NewTimer(b.next*3/4 + rand.N(b.next/2))
	defer timer.Stop()
	b.next = min(b.next*3/2, b.most)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
