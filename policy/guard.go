package policy

import (
	"cmp"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// Guard stands in front of a failsafe-go circuit breaker and adds what that lacks: outcomes that are neither success
// nor failure, probes that come back unused, a fixed number of probes per half-open time, deafness to results of
// calls from before the last change of state, and an open state that an operator holds.
type Guard struct {
	settings Breaker
	inner    circuitbreaker.CircuitBreaker[any]
	changed  func(BreakerChange) // nil: nobody wants to know

	mu         sync.Mutex
	generation uint64 // counts changes of state; a permit of an older one is stale
	probes     int    // handed out in this half-open generation and not come back neutral
	spare      int    // permits of inner that came back neutral: inner cannot take them back
	streak     int    // failures in a row, in this generation
	held       bool   // opened by hand: it stays open until closed or reset by hand
	hinted     bool   // open because another sidecar said so: it probes at hintEnds
	hintEnds   time.Time
	cause      BreakerCause // of the change under way; "" for what calls met
	since      time.Time    // when it was closed last; zero while it is
}

// BreakerChange is a change of a breaker's state.
type BreakerChange struct {
	From, To BreakerState
	Cause    BreakerCause
}

// BreakerCause is why a breaker changed.
type BreakerCause string

// The causes of changes.
const (
	ByCalls    BreakerCause = "calls"           // what calls of this sidecar met
	ByOperator BreakerCause = "operator"        // by hand
	BySidecar  BreakerCause = "another sidecar" // breaker.share: see BreakerShare
	ByReload   BreakerCause = "reload"          // an open breaker got new settings
)

// permit is the right to one attempt.
type permit struct {
	guard      *Guard
	generation uint64
	probe      bool
}

// NewGuard returns a closed breaker.
func NewGuard(s Breaker) *Guard {
	g := &Guard{settings: s}
	g.inner = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(uint(s.FailureThreshold)).
		WithSuccessThreshold(uint(s.SuccessThreshold)).
		WithDelay(s.ResetTimeout.D()).
		// Called with inner unlocked, on the goroutine that made the change, which holds g.mu.
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			if g.changed != nil {
				g.changed(BreakerChange{publicState(e.OldState), publicState(e.NewState), cmp.Or(g.cause, ByCalls)})
			}
			switch {
			case e.NewState == circuitbreaker.ClosedState:
				g.since = time.Time{}
			case g.since.IsZero():
				g.since = time.Now()
			}
			g.generation++
			g.probes, g.spare, g.streak, g.hinted = 0, 0, 0, false
		}).
		Build()
	return g
}

// acquire asks for the right to one attempt. Every permit must be given back by done, exactly once.
func (g *Guard) acquire() (permit, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endHint()
	if g.held || g.hinted {
		return permit{}, false
	}
	if g.inner.IsHalfOpen() {
		return g.acquireProbe()
	}
	if !g.inner.TryAcquirePermit() { // an open breaker whose time is over half-opens here and hands out its first probe
		return permit{}, false
	}
	probe := g.inner.IsHalfOpen()
	if probe {
		g.probes++
	}
	return permit{g, g.generation, probe}, true
}

// acquireProbe hands out at most success_threshold probes in one half-open time: inner would hand out a new one for
// each that succeeds.
func (g *Guard) acquireProbe() (permit, bool) {
	if g.probes >= g.settings.SuccessThreshold {
		return permit{}, false
	}
	if g.spare > 0 {
		g.spare--
	} else if !g.inner.TryAcquirePermit() {
		return permit{}, false
	}
	g.probes++
	return permit{g, g.generation, true}, true
}

// done tells the breaker what came of the attempt. A result from before the last change of state is not heard: late
// failures do not prolong an outage, and late successes do not end one.
func (p permit) done(effect breakerEffect) {
	g := p.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.generation != g.generation || g.held {
		return
	}
	switch {
	case effect == success:
		g.streak = 0
		g.inner.RecordSuccess()
	case effect == failure:
		g.streak++
		g.inner.RecordFailure()
	case p.probe:
		g.probes--
		g.spare++
	}
}

// Open opens the breaker until it is closed or reset by hand.
func (g *Guard) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
	g.because(ByOperator, g.inner.Open)
}

// Close closes the breaker. One that is closed already keeps its counts.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	g.because(ByOperator, g.inner.Close)
}

// Reset closes the breaker and forgets its counts.
func (g *Guard) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	g.because(ByOperator, g.inner.HalfOpen) // a closed breaker forgets only when it was something else in between
	g.because(ByOperator, g.inner.Close)
}

// trip opens the breaker as failures would: it probes by itself after the reset time.
func (g *Guard) trip() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.because(ByReload, g.inner.Open)
}

// because makes a change that is not owed to calls. The guard is locked.
func (g *Guard) because(cause BreakerCause, change func()) {
	g.cause = cause
	change()
	g.cause = ""
}

// BreakerState is the state as the specification's metric counts it.
type BreakerState int

// The states of a breaker.
const (
	BreakerClosed   BreakerState = 0
	BreakerHalfOpen BreakerState = 1
	BreakerOpened   BreakerState = 2
)

// String is closed, half-open or open.
func (s BreakerState) String() string { return [...]string{"closed", "half-open", "open"}[s] }

func publicState(s circuitbreaker.State) BreakerState {
	switch s {
	case circuitbreaker.OpenState:
		return BreakerOpened
	case circuitbreaker.HalfOpenState:
		return BreakerHalfOpen
	}
	return BreakerClosed
}

// State is the state now. A breaker whose open time is over is half-open, although no call has asked yet.
func (g *Guard) State() BreakerState {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endHint()
	switch {
	case g.held, g.hinted:
		return BreakerOpened
	case g.inner.IsClosed():
		return BreakerClosed
	case g.inner.IsHalfOpen() || g.inner.RemainingDelay() <= 0:
		return BreakerHalfOpen
	}
	return BreakerOpened
}

// Held reports whether the breaker was opened by hand.
func (g *Guard) Held() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// Since is when the breaker was closed last; the zero time while it is. One that probes in vain again and again is one
// outage.
func (g *Guard) Since() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.since
}

// Failures is the number of failures in a row since the last success or change of state.
func (g *Guard) Failures() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.streak
}

// Remaining is the time until an open breaker probes; 0 in other states and when it is held open by hand.
func (g *Guard) Remaining() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endHint()
	switch {
	case g.held:
		return 0
	case g.hinted:
		return time.Until(g.hintEnds)
	}
	return g.inner.RemainingDelay()
}
