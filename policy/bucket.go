package policy

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// bucket is the token bucket of an adapter or a tenant: the one that all sidecars share, and one of this process for
// when there is none, or it cannot be reached (rate_limit.store_down: local).
type bucket struct {
	own    *localBucket
	shared *shared.Bucket // nil: this sidecar is alone
	client *shared.Client
}

func newBucket(s *RateLimit, c *shared.Client, key ...string) *bucket {
	b := &bucket{own: newLocalBucket(s), client: c}
	if c != nil {
		b.shared = shared.NewBucket(c, c.Key(key...), s.Capacity, s.RefillRate)
	}
	return b
}

// grant is a token, or the lack of one.
type grant struct {
	ok     bool
	wait   time.Duration // until the token may be used
	own    *rate.Reservation
	shared shared.Answer
	local  bool // decided without Redis, although there should be one
}

// take asks for a token that comes within maxWait. It waits for Redis, within the exchange's patience, but not for the
// token. While Redis cannot be asked, the bucket of this process goes on from what is known of the shared one; what it
// lets through is told when Redis is back.
func (b *bucket) take(x *Exchange, maxWait time.Duration) grant {
	if b.shared == nil {
		return b.takeOwn(maxWait)
	}
	ctx, done := x.askRedis(x.Ctx)
	answer, err := b.shared.Take(ctx, maxWait)
	done()
	if err == nil {
		return grant{ok: answer.Granted, wait: answer.Wait, shared: answer}
	}
	if x.Ctx.Err() != nil { // that was why; this one needs no token any more
		return grant{}
	}
	b.own.drainTo(time.Now(), b.shared.Level())
	g := b.takeOwn(maxWait)
	if g.local = true; g.ok {
		b.shared.Spend()
	}
	return g
}

func (b *bucket) takeOwn(maxWait time.Duration) (g grant) {
	g.wait, g.own, g.ok = b.own.take(time.Now(), maxWait)
	return g
}

// giveBack returns a token that is not going to be used.
func (b *bucket) giveBack(g grant) {
	if g.shared.Granted {
		b.shared.Return(g.shared)
	} else {
		b.own.giveBack(g.own)
	}
}

// empty takes what is in the bucket and closes it until then, for all sidecars.
func (b *bucket) empty(now, until time.Time) {
	b.own.empty(now, until)
	if b.shared != nil {
		b.shared.Empty(until)
	}
}

// level asks nobody: of a shared bucket it is what this sidecar heard last.
func (b *bucket) level(now time.Time) shared.Level {
	if b.shared != nil && b.client.Up() {
		return b.shared.Level()
	}
	return b.own.level(now)
}

// idle reports whether a new bucket would be the same.
func (b *bucket) idle(now time.Time) bool {
	l := b.own.level(now)
	return !l.Full.After(now) && !l.Open.After(now) && (b.shared == nil || b.shared.Idle())
}
