package policy

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
)

func limited(t *testing.T, edit func(*RateLimit)) (*Host, Stage) {
	s := testSettings()
	s.Host.RateLimit = &RateLimit{Capacity: 2, RefillRate: 0.5, Per: "adapter", StoreDown: "local"}
	if edit != nil {
		edit(s.Host.RateLimit)
	}
	h := testHost(t, "", s)
	return h, limitStage(h)
}

func tenantCall(t *testing.T, tenant string) *Exchange {
	x := testExchange(t, "GET", "/", "")
	x.Tenant = tenant
	return x
}

func TestABurstIsLetThroughAndTheNextIsToldWhenToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stage := limited(t, nil)
		limit := stage(play(t, answered(200), answered(200), answered(200)).next)
		for range 2 {
			if _, err := limit(tenantCall(t, "")); err != nil {
				t.Fatal(err)
			}
		}
		wait(500 * time.Millisecond)
		x := tenantCall(t, "")
		_, err := limit(x)
		p, ok := err.(*problem.Problem)
		if !ok || p.Kind != problem.RateLimited || p.RetryAfter != 1500*time.Millisecond || x.LimitHits != 1 {
			t.Fatalf("got %v, %d hits", err, x.LimitHits)
		}
		for name, want := range map[string]string{"RateLimit-Policy": `"adapter";q=2;w=4`, "RateLimit": `"adapter";r=0;t=2`,
			"RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "4"} {
			if got := p.Fields.Get(name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		wait(p.RetryAfter)
		if _, err := limit(tenantCall(t, "")); err != nil {
			t.Errorf("refused after its Retry-After: %v", err)
		}
	})
}

func TestACallWaitsForItsTokenUpToMaxWait(t *testing.T) {
	for name, c := range map[string]struct {
		maxWait, deadline time.Duration
		retry             bool
		want              time.Duration // -1: refused at once
	}{
		"fits":                                  {2 * time.Second, time.Minute, false, 2 * time.Second},
		"does not fit":                          {1999 * time.Millisecond, time.Minute, false, -1},
		"fits, but not the deadline":            {10 * time.Second, time.Second, false, -1},
		"a retry waits as long as the deadline": {0, time.Minute, true, 2 * time.Second},
		"a retry does not wait past it":         {time.Minute, time.Second, true, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, stage := limited(t, func(r *RateLimit) { r.Capacity, r.MaxWait = 1, units.Duration(c.maxWait) })
				limit := stage(play(t, answered(200), answered(200)).next)
				_, _ = limit(tenantCall(t, ""))
				x, start := tenantCall(t, ""), time.Now()
				x.Deadline = start.Add(c.deadline)
				if c.retry {
					x.Attempts = make([]dlq.Attempt, 1)
				}
				_, err := limit(x)
				took := time.Since(start)
				if c.want < 0 && (kindOf(err) != problem.RateLimited || took != 0) || c.want >= 0 && (err != nil || took != c.want || x.LimitWait != took) {
					t.Errorf("got %v after %v, noted %v", err, took, x.LimitWait)
				}
			})
		})
	}
}

func TestAnApplicationThatLeavesTakesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stage := limited(t, func(r *RateLimit) { r.Capacity, r.MaxWait = 1, units.Duration(time.Minute) })
		limit := stage(play(t, answered(200), answered(200)).next)
		_, _ = limit(tenantCall(t, ""))
		x := tenantCall(t, "")
		cancel := cancelable(x)
		time.AfterFunc(time.Second, cancel)
		if _, err := limit(x); err != ErrCanceled || x.LimitHits != 0 {
			t.Errorf("got %v and %d refusals", err, x.LimitHits)
		}
		wait(time.Second)
		if _, err := limit(tenantCall(t, "")); err != nil {
			t.Errorf("the token is gone: %v", err)
		}
	})
}

func TestTenantsHaveBucketsOfTheirOwn(t *testing.T) {
	for per, want := range map[string]int{"adapter": 2, "tenant": 4} {
		t.Run(per, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, stage := limited(t, func(r *RateLimit) { r.Per = per })
				limit := stage(play(t, answered(200), answered(200), answered(200), answered(200)).next)
				passed := 0
				for range 3 {
					for _, tenant := range []string{"a", "b"} {
						if _, err := limit(tenantCall(t, tenant)); err == nil {
							passed++
						}
					}
				}
				if passed != want {
					t.Errorf("%d calls passed, want %d", passed, want)
				}
				if tokens, tenants := h.Limiter.Level(); tokens != 0 || tenants != want-2 {
					t.Errorf("level %v of %d tenants", tokens, tenants)
				}
			})
		})
	}
}

func TestHostileTenantsTakeBoundedMemoryAndShareABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(RateLimit{Capacity: 1, RefillRate: 1, Per: "tenant"}, nil, "erp")
		for n := range maxTenants {
			if err := l.take(tenantCall(t, fmt.Sprint("tenant-", n)), 0); err != nil {
				t.Fatalf("tenant %d: %v", n, err)
			}
		}
		refused := 0
		for n := range 1000 {
			if err := l.take(tenantCall(t, fmt.Sprint("stranger-", n)), 0); err != nil {
				refused++
			}
		}
		if _, tenants := l.Level(); tenants != maxTenants || refused != 999 {
			t.Errorf("%d tenants, %d of 1000 strangers refused", tenants, refused)
		}
		wait(time.Second)
		if err := l.take(tenantCall(t, "a guest"), 0); err != nil {
			t.Errorf("refused although every bucket is full: %v", err)
		}
		if _, tenants := l.Level(); tenants != 1 {
			t.Errorf("%d tenants after a sweep, want 1", tenants)
		}
	})
}

func TestALimitThatIsOffIsNoStage(t *testing.T) {
	if limitStage(testHost(t, "", testSettings())) != nil {
		t.Error("a limit that is off is a stage")
	}
}

func TestAnOpenBreakerTakesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stage := limited(t, nil)
		h.Breaker.Open()
		x := tenantCall(t, "")
		if _, err := stage(play(t).next)(x); kindOf(err) != problem.CircuitOpen || x.LimitHits != 0 {
			t.Errorf("got %v", err)
		}
		if tokens, _ := h.Limiter.Level(); tokens != 2 {
			t.Errorf("%v tokens are left of 2", tokens)
		}
	})
}
