package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// Limiter is the token bucket of an adapter, or of each of its tenants.
type Limiter struct {
	settings RateLimit
	client   *shared.Client // nil: this sidecar is alone
	adapter  string
	common   *bucket // of per: adapter; of per: tenant, what tenants beyond maxTenants share

	mu      sync.Mutex
	tenants map[string]*bucket
	swept   time.Time // when sweep last looked
}

const (
	// maxTenants bounds the memory that strangers' tenant ids can take.
	maxTenants = 10_000
	// minClosed is the least bound of the time for which a 429 of the external system closes a bucket: a quick one's
	// provider also means the seconds of its Retry-After.
	minClosed = time.Second
)

// NewLimiter returns full buckets of the adapter of this name, or, with a client, those that its sidecars share.
func NewLimiter(s RateLimit, c *shared.Client, adapterName string) *Limiter {
	return &Limiter{settings: s, client: c, adapter: adapterName, tenants: map[string]*bucket{},
		common: newBucket(&s, c, "limit", adapterName)}
}

// take gets the exchange a token, waiting for it at most maxWait, and notes on it what that took.
func (l *Limiter) take(x *Exchange, maxWait time.Duration) error {
	b := l.bucket(x.Tenant)
	g := b.take(x, max(maxWait, 0))
	x.LimitLocal = x.LimitLocal || g.local
	if b.shared != nil && x.Ctx.Err() != nil { // who left while Redis was asked was not refused
		if g.ok {
			b.giveBack(g)
		}
		return x.gone()
	}
	if !g.ok {
		x.LimitHits++
		now := time.Now()
		return rateLimited(&l.settings, stateOf(&l.settings, b.level(now), now))
	}
	if g.wait <= 0 {
		return nil
	}
	start := time.Now()
	err := x.wait(g.wait)
	x.LimitWait += time.Since(start)
	x.waited(waitLimit, start)
	if err != nil {
		b.giveBack(g)
	}
	return err
}

// throttled is told that the external system said 429, with Retry-After: until then it wants nothing. That empties the
// bucket and closes it, at most for as long as it takes to refill, so that a provider that names the hour of one
// customer's quota does not close the adapter.
func (l *Limiter) throttled(tenant string, retryAfter time.Duration) {
	if retryAfter <= 0 {
		return
	}
	b, now := l.bucket(tenant), time.Now()
	b.empty(now, now.Add(min(retryAfter, max(b.own.refill(float64(l.settings.Capacity)), minClosed))))
}

func (l *Limiter) bucket(tenant string) *bucket {
	if l.settings.Per != "tenant" {
		return l.common
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
		return l.common
	}
	name := sha256.Sum256([]byte(tenant)) // of any length and any bytes; in Redis it need not be readable
	b := newBucket(&l.settings, l.client, "limit", l.adapter, hex.EncodeToString(name[:16]))
	l.tenants[tenant] = b
	return b
}

// sweep forgets the tenants whose buckets are full again: a new bucket would be the same.
func (l *Limiter) sweep(now time.Time) {
	l.swept = now
	for tenant, b := range l.tenants {
		if b.idle(now) {
			delete(l.tenants, tenant)
		}
	}
}

// Level is the fill of the bucket, of per: tenant the emptiest one's, and the number of tenants that have one. A shared
// bucket is not asked: it is as this sidecar heard last, refilled since.
func (l *Limiter) Level() (tokens float64, tenants int) {
	now := time.Now()
	if l.settings.Per != "tenant" {
		return stateOf(&l.settings, l.common.level(now), now).tokens, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tokens = float64(l.settings.Capacity)
	for _, b := range l.tenants {
		tokens = min(tokens, stateOf(&l.settings, b.level(now), now).tokens)
	}
	return tokens, len(l.tenants)
}

// Settings are the settings the buckets were made with.
func (l *Limiter) Settings() RateLimit { return l.settings }
