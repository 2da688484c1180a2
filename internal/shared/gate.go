package shared

import (
	"sync"
	"sync/atomic"
	"time"
)

// A gate is the breaker in front of Redis. Calls that fail, one after the other, only raise a doubt: they fail too when too
// many come at once. The prober, which has a connection of its own, finds out: when it fails too, the gate closes. It
// writes, because a full Redis may still do for calls what needs no memory. Only the prober opens the gate again, so that no
// call has to find out, at its own cost, whether Redis is back.
type gate struct {
	changed func(up bool, why error)
	warned  func(what string) // nil: nobody wants to know
	down    atomic.Bool

	mu       sync.Mutex
	failures int // in a row
	misses   int // of the prober, in a row
	passes   int // of the prober in a row, while down
	since    time.Time
	why      error
	warning  string
	warnings [2]string // that were told: of eviction, and of being nearly full
	full     bool      // nearly
}

const (
	failuresToDoubt = 3
	missesToClose   = 2 // one is enough when calls fail too
	passesToOpen    = 2
)

func (g *gate) up() bool { return !g.down.Load() }

func (g *gate) succeeded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures = 0
}

// failed reports whether it is time to ask the prober.
func (g *gate) failed(err error) (doubtful bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = err
	g.failures++
	return g.failures >= failuresToDoubt && !g.down.Load()
}

// missed is the prober's failure.
func (g *gate) missed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passes, g.why = 0, err
	if g.misses++; g.misses >= missesToClose || g.failures >= failuresToDoubt {
		g.close()
	}
}

func (g *gate) close() {
	if g.down.Load() {
		return
	}
	g.since = time.Now()
	g.down.Store(true)
	g.tell(false, g.why)
}

// passed is the prober's success.
func (g *gate) passed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.misses, g.failures = 0, 0
	if !g.down.Load() {
		g.why = nil
		return
	}
	if g.passes++; g.passes < passesToOpen {
		return
	}
	g.passes, g.failures, g.why, g.since = 0, 0, nil, time.Now()
	g.down.Store(false)
	g.tell(true, nil)
}

func (g *gate) tell(up bool, why error) {
	if g.changed != nil {
		g.changed(up, why)
	}
}

// Status is how Redis is.
type Status struct {
	Up      bool
	Since   time.Time // of the last change; zero when there was none
	Why     error     // the last failure of a Redis that is down or about to be
	Warning string    // what is wrong with its settings
}

// Status returns how Redis is now.
func (c *Client) Status() Status {
	g := &c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return Status{Up: g.up(), Since: g.since, Why: g.why, Warning: g.warning}
}
