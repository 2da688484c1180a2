package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/units"
)

// sharing is the breaker of one sidecar among several.
func sharing(t *testing.T, server *miniredis.Miniredis, reset time.Duration) *Guard {
	t.Helper()
	c, err := shared.Open(shared.Config{Addresses: []string{server.Addr()}, Prefix: "test", Budget: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	share := NewBreakerShare(c)
	g := NewGuard(Breaker{FailureThreshold: 3, SuccessThreshold: 1, ResetTimeout: units.Duration(reset), Share: "redis"})
	g.changed = func(change BreakerChange) { share.Tell("erp", change) }
	share.Watch(map[string]*Guard{"erp": g})
	t.Cleanup(func() {
		share.Close()
		_ = c.Close()
	})
	return g
}

func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !true(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestOneSidecarsOutageSparesTheOthers(t *testing.T) {
	server := miniredis.RunT(t)
	first, second := sharing(t, server, time.Minute), sharing(t, server, time.Minute)
	for range 3 {
		spend(first, failure)
	}
	eventually(t, "the second breaker opens", func() bool { return second.State() == BreakerOpened })
	if left := second.Remaining(); spend(second, failure) || left <= 50*time.Second || left > 70*time.Second {
		t.Errorf("a call was let through, or %s remain", left)
	}
	first.mu.Lock()
	first.inner.HalfOpen()
	first.mu.Unlock()
	if !spend(first, success) {
		t.Fatal("no probe")
	}
	eventually(t, "the second breaker closes", func() bool { return second.State() == BreakerClosed })
}

func TestAStaySharedOutageIsProbedByEach(t *testing.T) {
	server := miniredis.RunT(t)
	first, second := sharing(t, server, 600*time.Millisecond), sharing(t, server, 600*time.Millisecond)
	for range 3 {
		spend(first, failure)
	}
	eventually(t, "the second breaker opens", func() bool { return second.State() == BreakerOpened })
	eventually(t, "the first probes in vain", func() bool { return spend(first, failure) })
	eventually(t, "the second probes although the first is open", func() bool { return spend(second, success) })
	if second.State() != BreakerClosed {
		t.Fatalf("%v after its probe", second.State())
	}
	eventually(t, "the first is told and probes at once", func() bool { return first.State() != BreakerOpened })
}

func TestWhatAnOperatorOpensStaysWithItsSidecar(t *testing.T) {
	server := miniredis.RunT(t)
	first, second := sharing(t, server, time.Minute), sharing(t, server, time.Minute)
	first.Open()
	for range 3 {
		spend(second, failure) // is told, and tells that telling works
	}
	eventually(t, "the outage is told", func() bool { return server.Exists("test:breaker:erp") })
	if got := server.HGet("test:breaker:erp", "seq"); got != "1" {
		t.Errorf("%s pieces of news, want one", got)
	}
	second.Reset()
	first.Reset()
	if first.State() != BreakerClosed || second.State() != BreakerClosed {
		t.Error("not closed by hand")
	}
}

func TestAHintEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(3, 1)
		g.hear(shared.News{Number: 1, Open: true, Left: 10 * time.Second})
		if g.State() != BreakerOpened || spend(g, success) {
			t.Fatal("not open")
		}
		g.hear(shared.News{Number: 1, Open: true, Left: 10 * time.Second}) // a second time changes nothing
		wait(10 * time.Second)
		if g.State() != BreakerOpened {
			t.Error("it probes before the sidecar that met the outage")
		}
		wait(2 * time.Second)
		if g.State() != BreakerHalfOpen || g.Remaining() > 0 {
			t.Fatalf("%v, %s remain", g.State(), g.Remaining())
		}
		if !spend(g, failure) || g.State() != BreakerOpened || g.Remaining() != time.Minute {
			t.Errorf("%v after its own probe failed, %s remain", g.State(), g.Remaining())
		}
	})
}

func TestABreakerHeldByHandHearsNothing(t *testing.T) {
	g := testGuard(3, 1)
	g.Open()
	g.hear(shared.News{Number: 2, Open: false, Left: time.Second})
	if g.State() != BreakerOpened || !g.Held() {
		t.Error("opened by somebody else's word")
	}
}
