package policy

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Limiter is the local token bucket of an adapter, or of each of its tenants.
type Limiter struct {
	settings RateLimit
	shared   *rate.Limiter // of per: adapter; of per: tenant, what tenants beyond maxTenants share

	mu      sync.Mutex
	tenants map[string]*rate.Limiter
	swept   time.Time // when sweep last looked
}

// maxTenants bounds the memory that strangers' tenant ids can take.
const maxTenants = 10_000

// NewLimiter returns full buckets.
func NewLimiter(s RateLimit) *Limiter {
	l := &Limiter{settings: s, tenants: map[string]*rate.Limiter{}}
	l.shared = l.newBucket()
	return l
}

func (l *Limiter) newBucket() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(l.settings.RefillRate), l.settings.Capacity)
}

// take removes a token, waiting for it at most maxWait. It reports the time spent waiting.
func (l *Limiter) take(ctx context.Context, tenant string, maxWait time.Duration) (time.Duration, error) {
	bucket := l.bucket(tenant)
	if bucket.Allow() {
		return 0, nil
	}
	if maxWait <= 0 {
		return 0, rateLimited(&l.settings, stateOf(bucket, time.Now()))
	}
	start := time.Now()
	wait, cancel := context.WithDeadline(ctx, start.Add(maxWait))
	defer cancel()
	err := bucket.Wait(wait) // takes nothing when the token would come after the deadline
	waited := time.Since(start)
	switch {
	case err == nil:
		return waited, nil
	case ctx.Err() != nil:
		return waited, ErrCanceled
	}
	return waited, rateLimited(&l.settings, stateOf(bucket, time.Now()))
}

func (l *Limiter) bucket(tenant string) *rate.Limiter {
	if l.settings.Per != "tenant" {
		return l.shared
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.tenants[tenant]; ok {
		return b
	}
	if now := time.Now(); len(l.tenants) >= maxTenants && now.Sub(l.swept) >= time.Second { // not per call: it looks at every tenant
		l.sweep(now)
	}
	if len(l.tenants) >= maxTenants {
		return l.shared
	}
	b := l.newBucket()
	l.tenants[tenant] = b
	return b
}

// sweep forgets the tenants whose buckets are full again: a new bucket would be the same.
func (l *Limiter) sweep(now time.Time) {
	l.swept = now
	for tenant, b := range l.tenants {
		if b.TokensAt(now) >= float64(l.settings.Capacity) {
			delete(l.tenants, tenant)
		}
	}
}

// Level is the fill of the bucket, of per: tenant the emptiest one's, and the number of tenants that have one.
func (l *Limiter) Level() (tokens float64, tenants int) {
	now := time.Now()
	if l.settings.Per != "tenant" {
		return max(l.shared.TokensAt(now), 0), 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tokens = float64(l.settings.Capacity)
	for _, b := range l.tenants {
		tokens = min(tokens, b.TokensAt(now))
	}
	return max(tokens, 0), len(l.tenants)
}

// Settings are the settings the buckets were made with.
func (l *Limiter) Settings() RateLimit { return l.settings }

// bucketState is what an answer says of a bucket.
type bucketState struct {
	remaining int           // whole tokens
	next      time.Duration // until the next caller finds one
	full      time.Duration // until it is full
}

func stateOf(b *rate.Limiter, now time.Time) bucketState {
	tokens, perSecond := b.TokensAt(now), float64(b.Limit())
	until := func(n float64) time.Duration {
		return time.Duration(max(n-tokens, 0) / perSecond * float64(time.Second))
	}
	return bucketState{int(math.Max(math.Floor(tokens), 0)), max(until(1), time.Millisecond), until(float64(b.Burst()))}
}

// fields renders the state as RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10) and as the
// three older fields most client libraries read.
func (b bucketState) fields(s *RateLimit) wire.Fields {
	window := int64(math.Ceil(float64(s.Capacity) / s.RefillRate))
	next, full := problem.Seconds(b.next), problem.Seconds(b.full)
	return wire.Fields{
		{Name: "RateLimit-Policy", Value: fmt.Sprintf(`"adapter";q=%d;w=%d`, s.Capacity, window)},
		{Name: "RateLimit", Value: fmt.Sprintf(`"adapter";r=%d;t=%d`, b.remaining, next)},
		{Name: "RateLimit-Limit", Value: strconv.Itoa(s.Capacity)},
		{Name: "RateLimit-Remaining", Value: strconv.Itoa(b.remaining)},
		{Name: "RateLimit-Reset", Value: strconv.FormatInt(full, 10)},
	}
}
