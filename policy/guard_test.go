package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
)

func testGuard(failures, successes int) *Guard {
	return NewGuard(Breaker{FailureThreshold: failures, SuccessThreshold: successes, ResetTimeout: units.Duration(time.Minute)})
}

// spend makes one attempt that ends with effect, and reports whether the breaker let it through.
func spend(g *Guard, effect breakerEffect) bool {
	p, ok := g.acquire()
	if ok {
		p.done(effect)
	}
	return ok
}

func TestFailuresInARowOpenTheBreaker(t *testing.T) {
	for name, c := range map[string]struct {
		effects []breakerEffect
		want    BreakerState
	}{
		"too few":                            {[]breakerEffect{failure, failure}, BreakerClosed},
		"enough":                             {[]breakerEffect{failure, failure, failure}, BreakerOpened},
		"a success between":                  {[]breakerEffect{failure, failure, success, failure, failure}, BreakerClosed},
		"a neutral outcome between":          {[]breakerEffect{failure, failure, neutral, failure}, BreakerOpened},
		"neutral outcomes alone":             {[]breakerEffect{neutral, neutral, neutral, neutral}, BreakerClosed},
		"enough after a success":             {[]breakerEffect{success, failure, failure, failure}, BreakerOpened},
		"successes and failures alternating": {[]breakerEffect{failure, success, failure, success, failure, success}, BreakerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			g := testGuard(3, 2)
			for _, effect := range c.effects {
				spend(g, effect)
			}
			if got := g.State(); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestAnOpenBreakerProbesAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(1, 1)
		spend(g, failure)
		if spend(g, success) || g.Remaining() != time.Minute {
			t.Fatalf("let through, or %v remain", g.Remaining())
		}
		wait(time.Minute - time.Nanosecond)
		if spend(g, success) || g.State() != BreakerOpened {
			t.Fatal("let through a nanosecond early")
		}
		wait(time.Nanosecond)
		if g.State() != BreakerHalfOpen {
			t.Fatalf("%v when its time is over", g.State())
		}
		if !spend(g, success) || g.State() != BreakerClosed {
			t.Errorf("%v after the probe", g.State())
		}
	})
}

// wait lets time pass in a bubble.
func wait(d time.Duration) { <-time.After(d) }

// halfOpen returns a breaker whose time is over.
func halfOpen(failures, successes int) *Guard {
	g := testGuard(failures, successes)
	for range failures {
		spend(g, failure)
	}
	wait(time.Minute)
	return g
}

func TestExactlyAsManyProbesAsSuccessesAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpen(2, 3)
		var probes []permit
		for {
			p, ok := g.acquire()
			if !ok {
				break
			}
			probes = append(probes, p)
		}
		if len(probes) != 3 {
			t.Fatalf("%d probes, want 3", len(probes))
		}
		for i, p := range probes {
			if g.State() != BreakerHalfOpen {
				t.Fatalf("%v after %d successes", g.State(), i)
			}
			p.done(success)
			if i < 2 && spend(g, success) {
				t.Fatal("a probe beyond the number was handed out")
			}
		}
		if g.State() != BreakerClosed {
			t.Errorf("%v after all probes succeeded", g.State())
		}
	})
}

func TestOneFailedProbeOpensTheBreakerForItsWholeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpen(2, 3)
		spend(g, success)
		spend(g, failure)
		if g.State() != BreakerOpened || g.Remaining() != time.Minute {
			t.Errorf("%v for %v", g.State(), g.Remaining())
		}
	})
}

func TestANeutralProbeGivesItsPermitBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpen(1, 2)
		for range 10 {
			if !spend(g, neutral) {
				t.Fatal("the permits ran out")
			}
		}
		if g.State() != BreakerHalfOpen {
			t.Fatalf("%v: probes without a result decided", g.State())
		}
		first, ok1 := g.acquire()
		_, ok2 := g.acquire()
		_, ok3 := g.acquire()
		if !ok1 || !ok2 || ok3 {
			t.Fatalf("permits %v %v %v, want two", ok1, ok2, ok3)
		}
		first.done(failure)
		if g.State() != BreakerOpened {
			t.Errorf("%v after a failure", g.State())
		}
	})
}

func TestResultsFromBeforeTheOutageAreNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(1, 1)
		late, _ := g.acquire()
		later, _ := g.acquire()
		spend(g, failure)
		wait(time.Minute)
		probe, _ := g.acquire()
		late.done(success)
		if g.State() != BreakerHalfOpen {
			t.Fatalf("a late success made it %v", g.State())
		}
		later.done(failure)
		if g.State() != BreakerHalfOpen {
			t.Fatalf("a late failure made it %v", g.State())
		}
		probe.done(success)
		if g.State() != BreakerClosed {
			t.Errorf("%v after its probe", g.State())
		}
	})
}

func TestAProbeOfAnEarlierHalfOpenTimeIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := halfOpen(1, 2)
		slow, _ := g.acquire()
		spend(g, failure)
		wait(time.Minute)
		spend(g, success)
		slow.done(success)
		if g.State() != BreakerHalfOpen {
			t.Errorf("%v: an old probe counted", g.State())
		}
	})
}

func TestABreakerOpenedByHandStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(1, 1)
		before, _ := g.acquire()
		g.Open()
		before.done(success)
		wait(24 * time.Hour)
		if spend(g, success) || g.State() != BreakerOpened || !g.Held() || g.Remaining() != 0 {
			t.Fatalf("%v, held %v, %v remain", g.State(), g.Held(), g.Remaining())
		}
		g.Close()
		if !spend(g, success) || g.State() != BreakerClosed || g.Held() {
			t.Errorf("%v after it was closed by hand", g.State())
		}
	})
}

func TestCloseAndResetByHand(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(*Guard)
		want int
	}{"close keeps the counts of a closed one": {(*Guard).Close, 2}, "reset forgets them": {(*Guard).Reset, 0}} {
		t.Run(name, func(t *testing.T) {
			g := testGuard(3, 1)
			spend(g, failure)
			spend(g, failure)
			c.act(g)
			if g.Failures() != c.want || g.State() != BreakerClosed {
				t.Errorf("%d failures, %v", g.Failures(), g.State())
			}
			g.Open()
			c.act(g)
			if g.Failures() != 0 || g.State() != BreakerClosed || g.Held() {
				t.Errorf("after open: %d failures, %v", g.Failures(), g.State())
			}
		})
	}
}

func TestStatesHaveTheContractsNumbersAndNames(t *testing.T) {
	for state, name := range map[BreakerState]string{0: "closed", 1: "half-open", 2: "open"} {
		if state.String() != name {
			t.Errorf("%d is called %s", state, state)
		}
	}
}

// An outage is one, however often it is probed in vain: on-call reads when it began.
func TestAnOutageBeganWhenTheBreakerWasClosedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard(Breaker{FailureThreshold: 1, SuccessThreshold: 1, ResetTimeout: units.Duration(time.Minute)})
		fail := func() {
			p, ok := g.acquire()
			if !ok {
				t.Fatal("no permit")
			}
			p.done(failure)
		}
		if !g.Since().IsZero() {
			t.Error("a closed breaker has been open since", g.Since())
		}
		began := time.Now()
		fail()
		time.Sleep(61 * time.Second)
		fail() // a probe
		if !g.Since().Equal(began) {
			t.Errorf("open since %s, want %s", g.Since(), began)
		}
		g.Close()
		if !g.Since().IsZero() {
			t.Error("closed, and open since", g.Since())
		}
		time.Sleep(time.Second)
		g.Open()
		by := time.Now()
		time.Sleep(time.Second)
		if !g.Since().Equal(by) {
			t.Errorf("open by hand since %s, want %s", g.Since(), by)
		}
		g.Reset()
		if !g.Since().IsZero() {
			t.Error("reset, and open since", g.Since())
		}
	})
}
