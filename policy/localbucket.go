package policy

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// localBucket is a token bucket of this process. It adds to rate.Limiter that it can be closed until a time, and that it
// can go on from the level of another bucket.
type localBucket struct {
	mu    sync.Mutex
	inner *rate.Limiter
	open  time.Time // until then it gives no token, whatever is in it
}

func newLocalBucket(s *RateLimit) *localBucket {
	return &localBucket{inner: rate.NewLimiter(rate.Limit(s.RefillRate), s.Capacity)}
}

// take reserves the next token if it comes within maxWait. A nil reservation needs no giving back: the token is there.
func (b *localBucket) take(now time.Time, maxWait time.Duration) (wait time.Duration, r *rate.Reservation, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := later(now, b.open) // a closed bucket refills, up to its capacity
	if from.Sub(now) > maxWait {
		return 0, nil, false
	}
	if from == now && b.inner.AllowN(now, 1) {
		return 0, nil, true
	}
	if maxWait <= 0 {
		return 0, nil, false
	}
	r = b.inner.ReserveN(from, 1)
	if wait = from.Sub(now) + r.DelayFrom(from); wait > maxWait {
		r.CancelAt(from)
		return 0, nil, false
	}
	return wait, r, true
}

// giveBack undoes a take, as far as nobody has reserved the tokens after it.
func (b *localBucket) giveBack(r *rate.Reservation) {
	if r != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		r.Cancel()
	}
}

// empty takes what is in it and closes it until then. Of a token that is taken in part, all is left: who was refused by
// the external system comes back for it.
func (b *localBucket) empty(now, until time.Time) {
	b.drain(now, shared.Level{Full: shared.Emptied(now, until, b.refill(1), b.refill(float64(b.inner.Burst()))), Open: until},
		func(surplus float64) float64 { return math.Floor(surplus + epsilon) })
}

// drainTo takes what it holds more than a bucket of this level, and less than a token of that.
func (b *localBucket) drainTo(now time.Time, l shared.Level) {
	b.drain(now, l, func(surplus float64) float64 { return math.Ceil(surplus - epsilon) })
}

func (b *localBucket) drain(now time.Time, l shared.Level, round func(float64) float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = later(b.open, l.Open)
	level := float64(b.inner.Burst()) - max(l.Full.Sub(now).Seconds(), 0)*float64(b.inner.Limit())
	for surplus := int(round(b.inner.TokensAt(now) - level)); surplus > 0; {
		n := min(surplus, b.inner.Burst())
		b.inner.ReserveN(now, n)
		surplus -= n
	}
}

// epsilon is of a token: what rounding may cost.
const epsilon = 1e-6

// level is how it stands.
func (b *localBucket) level(now time.Time) shared.Level {
	b.mu.Lock()
	defer b.mu.Unlock()
	return shared.Level{Full: now.Add(b.refill(float64(b.inner.Burst()) - b.inner.TokensAt(now))), Open: b.open}
}

// refill is the time in which it gets so many tokens.
func (b *localBucket) refill(tokens float64) time.Duration {
	return time.Duration(tokens / float64(b.inner.Limit()) * float64(time.Second))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
