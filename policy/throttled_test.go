package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
)

func TestAThrottledCallsRetryGetsItsTokenWhenRetryAfterHasPassed(t *testing.T) {
	for name, value := range map[string]string{"seconds": "3", "date": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testSettings()
				s.Host.RateLimit = &RateLimit{Capacity: 10, RefillRate: 0.3, Per: "adapter"}
				if value == "" {
					value = time.Now().Add(3 * time.Second).UTC().Format(httpDate)
				}
				h := testHost(t, "", s)
				script := play(t, answered(429, "Retry-After", value), answered(200), answered(200))
				stage := limitStage(h)(script.next)
				x, start := testExchange(t, "GET", "/", ""), time.Now()
				resp, err := attempts(s, h)(stage)(x)
				if took := time.Since(start); err != nil || resp.Status != 200 || took != 3*time.Second || x.LimitWait != 0 {
					t.Errorf("%v after %s, %s of them for a token", err, took, x.LimitWait)
				}
				if _, err := stage(testExchange(t, "GET", "/", "")); kindOf(err) != problem.RateLimited {
					t.Errorf("a second token: %v", err)
				}
				wait(3334 * time.Millisecond)
				if _, err := stage(testExchange(t, "GET", "/", "")); err != nil {
					t.Errorf("it does not refill: %v", err)
				}
			})
		})
	}
}

func TestA429OfTheExternalSystemHoldsUpOtherCalls(t *testing.T) {
	for name, c := range map[string]struct {
		outcome outcome
		refill  float64
		closed  time.Duration
	}{
		"as long as it says":               {answered(429, "Retry-After", "4"), 1, 4 * time.Second},
		"at most for as long as a refill":  {answered(429, "Retry-After", "3600"), 1, 10 * time.Second},
		"a second, of a quick one's":       {answered(429, "Retry-After", "3600"), 1000, time.Second},
		"not without Retry-After":          {answered(429), 1, 0},
		"not when that cannot be read":     {answered(429, "Retry-After", "soon"), 1, 0},
		"not when that is past":            {answered(429, "Retry-After", "0"), 1, 0},
		"not when it says unavailable":     {answered(503, "Retry-After", "4"), 1, 0},
		"not when the answer did not come": {broke(problem.UpstreamUnreachable, true), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, stage := limited(t, func(r *RateLimit) { r.Capacity, r.RefillRate = 10, c.refill })
				limit := stage(play(t, c.outcome, answered(200)).next)
				_, _ = limit(tenantCall(t, ""))
				if c.closed > 0 {
					wait(c.closed - 1)
					x := tenantCall(t, "")
					if _, err := limit(x); kindOf(err) != problem.RateLimited || x.LimitHits != 1 {
						t.Errorf("got %v before %s had passed", err, c.closed)
					}
					wait(1)
				}
				if _, err := limit(tenantCall(t, "")); err != nil {
					t.Errorf("got %v after %s", err, c.closed)
				}
			})
		})
	}
}

func TestA429OfOneTenantLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stage := limited(t, func(r *RateLimit) { r.Per = "tenant" })
		limit := stage(play(t, answered(429, "Retry-After", "2"), answered(200)).next)
		_, _ = limit(tenantCall(t, "a"))
		if _, err := limit(tenantCall(t, "b")); err != nil {
			t.Error(err)
		}
		if _, err := limit(tenantCall(t, "a")); kindOf(err) != problem.RateLimited {
			t.Errorf("a: %v", err)
		}
	})
}

func TestWhoWaitsForATokenIsHeldUpByA429Too(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stage := limited(t, func(r *RateLimit) { r.MaxWait = units.Duration(time.Minute) })
		limit := stage(play(t, answered(429, "Retry-After", "3"), answered(200)).next)
		_, _ = limit(tenantCall(t, ""))
		x := tenantCall(t, "")
		if _, err := limit(x); err != nil || x.LimitWait != 3*time.Second {
			t.Errorf("%v after %s", err, x.LimitWait)
		}
	})
}
