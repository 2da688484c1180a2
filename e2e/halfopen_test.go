package e2e

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// callers make calls at once, in the background, and count the statuses of those that were answered.
type callers struct {
	statuses [1000]atomic.Int32
	running  sync.WaitGroup
}

func (c *callers) start(t *testing.T, s *Sidecar, n int, target string) {
	for range n {
		c.running.Go(func() {
			a, err := s.Try(t.Context(), http.MethodGet, target, "")
			if err != nil {
				t.Errorf("a caller got no answer: %v", err)
				return
			}
			c.statuses[a.Status].Add(1)
		})
	}
}

func (c *callers) got(status int) int { return int(c.statuses[status].Load()) }

func TestHalfOpenLetsExactlyTheProbesThrough(t *testing.T) {
	t.Parallel()
	const probes, crowd = 3, 50
	first, others := NewGate(t), NewGate(t)
	up := NewUpstream(t, Status(500), first.Hold(OK("healed")), others.Hold(OK("healed")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(1, probes, 300*time.Millisecond))})
	s.Get(t, "/sales/a").WantStatus(t, 500)
	var c callers
	started := 0
	more := func() { // one more crowd, of which all are refused that are no probes
		c.start(t, s, crowd, "/sales/a")
		started += crowd
		Eventually(t, "all but the probes to be refused", func() bool { return c.got(503) >= started-probes })
	}
	Eventually(t, "the probes to be sent", func() bool { more(); return up.Count()-1 >= probes })
	more()
	if state := s.BreakerState(t, "sales"); state != 1 {
		t.Errorf("integration_circuit_breaker_state %v while probing, want 1", state)
	}
	first.Open()
	Eventually(t, "the first probe to succeed", func() bool { return c.got(200) == 1 })
	more() // a probe that succeeded makes no room for another
	if n := up.Count() - 1; n != probes {
		t.Errorf("%d probes reached the upstream, want exactly %d", n, probes)
	}
	others.Open()
	c.running.Wait()
	if c.got(200) != probes || c.got(503) != started-probes {
		t.Errorf("%d answers 200 and %d answers 503 of %d, want %d and the rest", c.got(200), c.got(503), started, probes)
	}
	s.Get(t, "/sales/a").WantStatus(t, 200)
	if state := s.BreakerState(t, "sales"); state != 0 {
		t.Errorf("integration_circuit_breaker_state %v after the probes succeeded, want 0", state)
	}
}

func TestFailedProbeOpensAgain(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), Status(500), Status(502), OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(2, 2, 200*time.Millisecond))})
	s.Get(t, "/sales/a").WantStatus(t, 500)
	s.Get(t, "/sales/a").WantStatus(t, 500)
	Eventually(t, "a probe", func() bool { return s.Get(t, "/sales/a").Status == 502 })
	s.Get(t, "/sales/a").WantProblem(t, 503, "circuit-open")
	up.WantCount(t, 3)
}

func TestCancelledProbeNeitherClosesNorWedges(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, Status(500), Status(500), Status(500), gate.Hold(OK("never seen")), Status(502), OK("healed"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(3, 1, 200*time.Millisecond))})
	for range 3 {
		s.Get(t, "/sales/a").WantStatus(t, 500)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-gate.Entered
		cancel()
	}()
	Eventually(t, "a probe that its caller cancels", func() bool {
		_, err := s.Try(ctx, http.MethodGet, "/sales/a", "")
		return err != nil
	})
	Receive(t, gate.Left, "the upstream to see the cancelled probe leave")
	Eventually(t, "the next probe: the cancelled one must give its place back", func() bool { return s.Get(t, "/sales/a").Status == 502 })
	// Were the breaker closed by the cancelled probe, one failure of three would not open it.
	s.Get(t, "/sales/a").WantProblem(t, 503, "circuit-open")
	Eventually(t, "the breaker to close after a probe that succeeds", func() bool { return s.Get(t, "/sales/a").Status == 200 })
}

func TestLateFailuresDoNotProlongTheOpenTime(t *testing.T) {
	t.Parallel()
	const reset = 2 * time.Second
	late, lucky := NewGate(t), NewGate(t)
	up := NewUpstream(t, late.Hold(Status(500)), lucky.Hold(OK("late success")), Status(500), Status(500), OK("healed"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(2, 1, reset), "timeout: { attempt: 15s }")})
	var c callers
	c.start(t, s, 1, "/sales/late")
	late.WaitEntered(t)
	c.start(t, s, 1, "/sales/lucky")
	lucky.WaitEntered(t)
	s.Get(t, "/sales/a").WantStatus(t, 500)
	s.Get(t, "/sales/a").WantStatus(t, 500)
	opened := time.Now()
	lucky.Open()
	Eventually(t, "the late success", func() bool { return c.got(200) == 1 })
	s.Get(t, "/sales/a").WantProblem(t, 503, "circuit-open") // a success from before the outage closes nothing
	Until(opened.Add(reset * 3 / 4))
	late.Open()
	Eventually(t, "the late failure", func() bool { return c.got(500) == 1 })
	Eventually(t, "the breaker to probe", func() bool { return s.Get(t, "/sales/a").Status == 200 })
	if took := time.Since(opened); took < reset*9/10 || took > reset*3/2 {
		t.Errorf("it probed %s after it opened, want the %s of reset_timeout, not counted again from the late failure", took, reset)
	}
}

// Calls that were sent before the breaker opened and end while it probes say nothing about the provider of now.
func TestLateResultsAreNotTakenForProbes(t *testing.T) {
	t.Parallel()
	fail, succeed, probe := NewGate(t), NewGate(t), NewGate(t)
	up := NewUpstream(t, fail.Hold(Status(500)), succeed.Hold(Status(201)), Status(502), Status(502), probe.Hold(OK("first probe")), OK("second probe"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(2, 2, 200*time.Millisecond), "timeout: { attempt: 15s }")})
	var c callers
	for _, g := range []*Gate{fail, succeed} {
		c.start(t, s, 1, "/sales/late")
		g.WaitEntered(t)
	}
	s.Get(t, "/sales/a").WantStatus(t, 502)
	s.Get(t, "/sales/a").WantStatus(t, 502)
	Eventually(t, "the first probe to be sent", func() bool {
		before := c.got(503)
		c.start(t, s, 1, "/sales/a")
		return poll(time.Now().Add(patience), func() bool { return c.got(503) > before || up.Count() == 5 }) && up.Count() == 5
	})
	want := func(state float64, when string) {
		t.Helper()
		if got := s.BreakerState(t, "sales"); got != state {
			t.Fatalf("integration_circuit_breaker_state %v %s, want %v", got, when, state)
		}
	}
	succeed.Open()
	Eventually(t, "the late success", func() bool { return c.got(201) == 1 })
	probe.Open()
	Eventually(t, "the first probe", func() bool { return c.got(200) == 1 })
	want(1, "after one of two probes and a late success")
	fail.Open()
	Eventually(t, "the late failure", func() bool { return c.got(500) == 1 })
	want(1, "after a late failure")
	s.Get(t, "/sales/a").WantStatus(t, 200)
	want(0, "after the second probe")
}
