package policy

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestAQuietAdapterMayRetryThreeTimesASecond(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := newBudget(func() time.Time { return now })
	for n := range budgetReserve * budgetWindow {
		if !b.retry(0.2) {
			t.Fatalf("retry %d refused", n+1)
		}
	}
	if b.retry(0.2) {
		t.Error("a retry beyond the reserve was allowed")
	}
	now = now.Add(budgetWindow * time.Second)
	if !b.retry(0.2) {
		t.Error("refused although the window has passed")
	}
}

func TestABusyAdapterMayRetryAShareOfItsCalls(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := newBudget(func() time.Time { return now })
	for range 1000 {
		b.call()
	}
	allowed := 0
	for b.retry(0.2) {
		allowed++
	}
	if allowed != 200 {
		t.Errorf("%d retries for 1000 calls, want 200", allowed)
	}
}

// Against a budget that remembers everything: what is counted is exactly the window.
func TestTheBudgetCountsExactlyItsWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		b := newBudget(func() time.Time { return now })
		var calls, retries []int64
		inWindow := func(list []int64) (n int) {
			for _, second := range list {
				if now.Unix()-second < budgetWindow {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(60, 300).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"call", "calls", "retry", "step", "jump"}).Draw(t, "step") {
			case "call":
				b.call()
				calls = append(calls, now.Unix())
			case "calls":
				for range 50 {
					b.call()
					calls = append(calls, now.Unix())
				}
			case "retry":
				want := float64(inWindow(retries)) < max(budgetReserve*budgetWindow, 0.2*float64(inWindow(calls)))
				if got := b.retry(0.2); got != want {
					t.Fatalf("retry allowed: %v, want %v", got, want)
				} else if got {
					retries = append(retries, now.Unix())
				}
			case "step":
				now = now.Add(time.Second)
			case "jump":
				now = now.Add(time.Duration(rapid.IntRange(2, 60).Draw(t, "seconds")) * time.Second)
			}
		}
	})
}

func TestAnOutageDoesNotMultiplyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		stage := attempts(s, testHost(t, "", s))
		var sent atomic.Int64
		down := stage(func(*Exchange) (*wire.Response, error) {
			sent.Add(1)
			return &wire.Response{Status: 503}, nil
		})
		var calls sync.WaitGroup
		for range 1000 {
			calls.Go(func() { _, _ = down(testExchange(t, "GET", "/", "")) })
		}
		calls.Wait()
		if n := sent.Load(); n != 1200 {
			t.Errorf("1000 calls became %d attempts, want 1200", n)
		}
	})
}
