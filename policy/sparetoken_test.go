package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// replays sends letters through a limit, one after the other, until the given time, and returns how many were sent.
func replays(t *testing.T, limit Next, until time.Time) (sent int) {
	for time.Now().Before(until) {
		x := testExchange(t, "POST", "/", "{}")
		x.Replay = &Replay{Letter: &dlq.Letter{}}
		if _, err := limit(x); err != nil {
			t.Errorf("after %d: %v", sent, err)
			return sent
		}
		if x.LimitHits != 0 {
			t.Errorf("a replay that waited counts %d refusals", x.LimitHits)
		}
		sent++
	}
	return sent
}

func answerAll(*Exchange) (*wire.Response, error) { return &wire.Response{Status: 200}, nil }

func TestReplaysLeaveTheApplicationItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stage := limited(t, func(s *RateLimit) { s.Capacity, s.RefillRate = 20, 10 })
		limit, end := stage(answerAll), time.Now().Add(20*time.Second)
		sent := make(chan int)
		go func() { sent <- replays(t, limit, end) }()
		calls := 0
		for ; time.Now().Before(end); calls++ {
			wait(166 * time.Millisecond) // 6 a second
			if _, err := limit(tenantCall(t, "")); err != nil {
				t.Fatalf("call %d of the application: %v", calls, err)
			}
		}
		if n := <-sent; n < 70 || n > 100 { // the 4 a second that are left, and half of a full bucket
			t.Errorf("%d letters beside %d calls", n, calls)
		}
	})
}

func TestReplaysAloneComeAtThePaceOfTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, capacity := range []int{1, 2, 10} {
			_, stage := limited(t, func(s *RateLimit) { s.Capacity, s.RefillRate = capacity, 10 })
			if n := replays(t, stage(answerAll), time.Now().Add(10*time.Second)); n < 95 || n > 101+capacity {
				t.Errorf("capacity %d: %d letters in 10 s at 10 a second", capacity, n)
			}
		}
	})
}

func TestAReplayThatFindsNoSpareTokenEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stage := limited(t, nil)
		h.Limiter.throttled("", 3*time.Second)
		x := testExchange(t, "POST", "/", "{}")
		x.Replay, x.Deadline = &Replay{Letter: &dlq.Letter{}}, time.Now().Add(2*time.Second)
		if _, err := stage(answerAll)(x); kindOf(err) != problem.RateLimited || x.LimitHits != 1 {
			t.Errorf("%v, %d hits", err, x.LimitHits)
		}
		x.Deadline = time.Now().Add(time.Minute)
		start := time.Now()
		if _, err := stage(answerAll)(x); err != nil || time.Since(start) < 3*time.Second || x.LimitWait != time.Since(start) {
			t.Errorf("%v after %s, of which %s are said to be of waiting", err, time.Since(start), x.LimitWait)
		}
	})
}

// A delivery of a tenant does not wait for its token: in the place that it would hold another tenant's can be delivered.
func TestADeliveryOfATenantDoesNotWaitForItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, stage := limited(t, func(s *RateLimit) {
			s.Capacity, s.RefillRate, s.Per, s.MaxWait = 4, 2, "tenant", units.Duration(time.Minute)
		})
		limit, start := stage(answerAll), time.Now()
		deliver := func(tenant string) error {
			x := tenantCall(t, tenant)
			x.Delivery = &Delivery{Exchange: &accepted.Exchange{}, Stop: make(chan struct{})}
			_, err := limit(x)
			return err
		}
		for i := range 2 { // half of the bucket is left to the application
			if err := deliver("a"); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
		}
		err := deliver("a")
		p, ok := err.(*problem.Problem)
		if !ok || p.Kind != problem.RateLimited || p.RetryAfter <= 0 || p.RetryAfter > 500*time.Millisecond {
			t.Errorf("%+v", err)
		}
		if every := host.TenantWide(err); every != 500*time.Millisecond {
			t.Errorf("a token comes every %s", every)
		}
		if err := deliver("b"); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it waited for %s", waited)
		}
		wait(p.RetryAfter)
		if err := deliver("a"); err != nil {
			t.Errorf("after the time in Retry-After: %v", err)
		}
	})
}
