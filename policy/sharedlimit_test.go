package policy

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func openShared(t *testing.T, redis *miniredis.Miniredis, budget time.Duration) *shared.Client {
	t.Helper()
	c, err := shared.Open(shared.Config{Addresses: []string{redis.Addr()}, Prefix: "test", Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// onScripts has f called before each script that Redis runs.
func onScripts(redis *miniredis.Miniredis, f func()) {
	redis.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if strings.HasPrefix(command, "EVAL") {
			f()
		}
		return false
	})
}

// slowLimit refills too slowly for a test to see it.
func slowLimit(capacity int) RateLimit {
	return RateLimit{Capacity: capacity, RefillRate: 0.001, Per: "adapter", StoreDown: "local"}
}

func (l *Limiter) takes(t *testing.T, n int) (granted int) {
	for range n {
		if l.take(tenantCall(t, ""), 0) == nil {
			granted++
		}
	}
	return granted
}

func TestSidecarsOfAnApplicationShareOneLimit(t *testing.T) {
	redis := miniredis.RunT(t)
	a := NewLimiter(slowLimit(5), openShared(t, redis, 5*time.Second), "erp")
	b := NewLimiter(slowLimit(5), openShared(t, redis, 5*time.Second), "erp")
	other := NewLimiter(slowLimit(5), openShared(t, redis, 5*time.Second), "crm")
	if x, y, z := a.takes(t, 3), b.takes(t, 3), other.takes(t, 6); x != 3 || y != 2 || z != 5 {
		t.Errorf("%d and %d granted of 5, %d of another adapter", x, y, z)
	}
	x := tenantCall(t, "")
	p, _ := a.take(x, 0).(*problem.Problem)
	if p == nil || p.Kind != problem.RateLimited || p.RetryAfter < 990*time.Second || p.RetryAfter > 1000*time.Second || x.LimitLocal || x.LimitHits != 1 {
		t.Fatalf("%+v", p)
	}
	for name, want := range map[string]string{"RateLimit-Policy": `"adapter";q=5;w=5000`, "RateLimit": `"adapter";r=0;t=1000`, "RateLimit-Remaining": "0", "RateLimit-Reset": "5000"} {
		if got := p.Fields.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestALevelIsReadWithoutAskingRedis(t *testing.T) {
	redis := miniredis.RunT(t)
	l := NewLimiter(slowLimit(5), openShared(t, redis, 5*time.Second), "erp")
	l.takes(t, 2)
	var scripts atomic.Int64
	onScripts(redis, func() { scripts.Add(1) })
	if tokens, _ := l.Level(); tokens < 3 || tokens > 3.1 || scripts.Load() != 0 {
		t.Errorf("%v tokens, %d scripts", tokens, scripts.Load())
	}
}

func TestTenantsShareTheirBucketsOverSidecars(t *testing.T) {
	redis := miniredis.RunT(t)
	s := slowLimit(1)
	s.Per = "tenant"
	a := NewLimiter(s, openShared(t, redis, 5*time.Second), "erp")
	b := NewLimiter(s, openShared(t, redis, 5*time.Second), "erp")
	hostile := "x\r\n" + strings.Repeat("long", 1000)
	for _, tenant := range []string{"acme", hostile, ""} {
		if err := a.take(tenantCall(t, tenant), 0); err != nil {
			t.Errorf("%.9q: %v", tenant, err)
		}
		if err := b.take(tenantCall(t, tenant), 0); kindOf(err) != problem.RateLimited {
			t.Errorf("%.9q of the other: %v", tenant, err)
		}
	}
	for _, key := range redis.Keys() {
		if strings.Contains(key, "acme") || len(key) > 64 {
			t.Errorf("key %.99q", key)
		}
	}
	if _, tenants := a.Level(); tenants != 3 {
		t.Errorf("%d tenants", tenants)
	}
}

func TestAnOutageIsLimitedFromTheLastKnownLevelAndReportedAfterIt(t *testing.T) {
	redis := miniredis.RunT(t)
	client := openShared(t, redis, 200*time.Millisecond)
	a := NewLimiter(slowLimit(10), client, "erp")
	b := NewLimiter(slowLimit(10), openShared(t, redis, 5*time.Second), "erp")
	if a.takes(t, 4) != 4 || b.takes(t, 1) != 1 {
		t.Fatal("not granted")
	}
	redis.Close()
	x := tenantCall(t, "")
	if err := a.take(x, 0); err != nil || !x.LimitLocal {
		t.Fatalf("%v, local %v", err, x.LimitLocal)
	}
	if granted := a.takes(t, 10); granted != 5 { // it knew of 6
		t.Fatalf("%d granted in the outage", granted)
	}
	if tokens, _ := a.Level(); !client.Up() && tokens > 0.1 {
		t.Errorf("level %v in the outage", tokens)
	}
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis is back", client.Up)
	if granted := a.takes(t, 1) + b.takes(t, 10); granted != 0 {
		t.Errorf("%d granted although the outage took all of them", granted)
	}
}

func TestASidecarThatNeverReachedRedisLimitsFromAFullBucket(t *testing.T) {
	redis := miniredis.RunT(t)
	l := NewLimiter(slowLimit(3), openShared(t, redis, 200*time.Millisecond), "erp")
	redis.Close()
	if granted := l.takes(t, 5); granted != 3 {
		t.Errorf("%d granted", granted)
	}
}

func TestARedisThatHangsCostsAnExchangeItsPatienceAndNoMore(t *testing.T) {
	redis := miniredis.RunT(t)
	l := NewLimiter(slowLimit(3), openShared(t, redis, 5*time.Second), "erp")
	hung := make(chan struct{})
	onScripts(redis, func() { <-hung })
	defer close(hung)
	x := tenantCall(t, "")
	x.Patience = shared.NewPatience(50 * time.Millisecond)
	start := time.Now()
	for range 2 {
		if err := l.take(x, 0); err != nil || !x.LimitLocal {
			t.Fatalf("%v, local %v", err, x.LimitLocal)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func TestWhoLeavesWhileWaitingForASharedTokenGivesItBack(t *testing.T) {
	redis := miniredis.RunT(t)
	s := RateLimit{Capacity: 1, RefillRate: 0.1, Per: "adapter", MaxWait: units.Duration(time.Minute)}
	l := NewLimiter(s, openShared(t, redis, 5*time.Second), "erp")
	l.takes(t, 1)
	x := tenantCall(t, "")
	cancel := cancelable(x)
	left, before := make(chan error), redis.TTL("test:limit:erp")
	go func() { left <- l.take(x, time.Minute) }()
	eventually(t, "a token is reserved", func() bool { return redis.TTL("test:limit:erp") > before }) // reserved
	cancel()
	if err := <-left; err != ErrCanceled || x.LimitHits != 0 {
		t.Fatalf("%v, %d hits", err, x.LimitHits)
	}
	eventually(t, "it is given back", func() bool { return redis.TTL("test:limit:erp") <= before })
}

func TestWhoLeavesWhileRedisIsAskedGivesTheTokenBack(t *testing.T) {
	redis := miniredis.RunT(t)
	l := NewLimiter(slowLimit(1), openShared(t, redis, 5*time.Second), "erp")
	x := tenantCall(t, "")
	cancel := cancelable(x)
	var once sync.Once
	onScripts(redis, func() { once.Do(cancel) })
	if err := l.take(x, 0); err != ErrCanceled || x.LimitHits != 0 || x.LimitLocal {
		t.Fatalf("%v, %d hits, local %v", err, x.LimitHits, x.LimitLocal)
	}
	eventually(t, "the token is given back", func() bool { return l.takes(t, 1) == 1 })
}

func TestA429HoldsUpTheOtherSidecarsAndNotItsOwnRetry(t *testing.T) {
	redis := miniredis.RunT(t)
	settings := func() *Settings {
		s := testSettings()
		s.Retry.InitialDelay = units.Duration(time.Millisecond)
		s.Host.RateLimit = &RateLimit{Capacity: 100, RefillRate: 0.5, Per: "adapter"}
		return s
	}
	s := settings()
	own, other := testHost(t, "", s), testHost(t, "", settings())
	own.Limiter = NewLimiter(*s.Host.RateLimit, openShared(t, redis, 5*time.Second), "erp")
	other.Limiter = NewLimiter(*s.Host.RateLimit, openShared(t, redis, 5*time.Second), "erp")
	script := play(t, answered(429, "Retry-After", "1"), answered(200))
	done := make(chan *wire.Response)
	x := testExchange(t, "GET", "/", "")
	go func() {
		resp, _ := attempts(s, own)(limitStage(own)(script.next))(x)
		done <- resp
	}()
	eventually(t, "the other sidecar is refused", func() bool {
		return kindOf(other.Limiter.take(tenantCall(t, ""), 0)) == problem.RateLimited
	})
	if resp := <-done; resp == nil || resp.Status != 200 {
		t.Errorf("the retry: %+v", resp)
	}
	if late := script.at[1].Sub(script.at[0]) - time.Second; late < 0 || late > 500*time.Millisecond { // as a rule it is the way to Redis, 1 ms; the next token comes after 2 s
		t.Errorf("the retry came %s after Retry-After", late)
	}
}

func TestALimiterWithoutRedisIsNotCalledDegraded(t *testing.T) {
	l := NewLimiter(slowLimit(1), nil, "erp")
	x := tenantCall(t, "")
	if err := l.take(x, 0); err != nil || x.LimitLocal {
		t.Errorf("%v, local %v", err, x.LimitLocal)
	}
}
func TestATenantsSharedBucketIsRememberedUntilItIsFull(t *testing.T) {
	redis := miniredis.RunT(t)
	s := RateLimit{Capacity: 1, RefillRate: 100, Per: "tenant"}
	l := NewLimiter(s, openShared(t, redis, 5*time.Second), "erp")
	if err := l.take(tenantCall(t, "acme"), 0); err != nil {
		t.Fatal(err)
	}
	b := l.bucket("acme")
	b.shared.Empty(time.Now().Add(time.Hour))
	if l.sweep(time.Now()); len(l.tenants) != 1 {
		t.Error("forgotten")
	}
	delete(l.tenants, "acme")
	fresh := l.bucket("acme")
	if l.sweep(time.Now()); len(l.tenants) != 0 || fresh == b {
		t.Error("not forgotten although a new one is the same")
	}
}

func TestWhatWasDecidedWithoutRedisIsCounted(t *testing.T) {
	redis := miniredis.RunT(t)
	w := newWatcher(t, nil)
	w.host.Limiter = NewLimiter(slowLimit(5), openShared(t, redis, 200*time.Millisecond), "erp")
	call := func() {
		resp, err := w.stage(limitStage(w.host)(play(t, answered(200)).next))(tenantCall(t, ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Close()
	}
	call()
	w.expect(map[string]float64{"integration_degraded_calls_total{policy=rate_limit}": 0})
	redis.Close()
	call()
	w.expect(map[string]float64{"integration_degraded_calls_total{policy=rate_limit}": 1})
}
