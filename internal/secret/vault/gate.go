package vault

import (
	"sync"
	"time"
)

// gate keeps a crowd from a Vault that does not answer. After some failures in a row, of whatever paths, it lets one fetch
// through at a time, after growing pauses.
type gate struct {
	changed func(up bool, why string)
	probe   time.Duration // how long one fetch may take

	mu       sync.Mutex
	failures int // in a row; while down, of single fetches
	down     bool
	probing  bool      // while down: one was let through, and was not heard of yet
	until    time.Time // while down: closed before
	since    time.Time // of the last change
	why      *Failure
}

const failuresToClose = 3

// closed says why Vault is left alone now; nil: it may be asked. While it is down, single is the one that is let through to
// find out.
func (g *gate) closed(now time.Time) (why *Failure, single bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.down:
		return nil, false
	case now.Before(g.until):
		return g.why, false
	}
	g.until, g.probing = now.Add(2*g.probe), true
	return nil, true
}

// heard is told of what came of a fetch. Of fetches that were under way when Vault was given up, failures say nothing new.
func (g *gate) heard(f *Failure, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case f == nil || f.answer() && f.Reason != LoginRefused:
		g.failures, g.why, g.probing = 0, nil, false
		g.turn(false, now)
		return
	case g.down && !g.probing:
		return
	}
	g.failures, g.why, g.probing = g.failures+1, f, false
	if g.failures >= failuresToClose {
		g.until = now.Add(pause(min(g.failures-failuresToClose+1, 6)))
		g.turn(true, now)
	}
}

func (g *gate) turn(down bool, now time.Time) {
	if g.down == down {
		return
	}
	g.down, g.since = down, now
	if g.changed == nil {
		return
	}
	why := ""
	if g.why != nil {
		why = g.why.Error()
	}
	g.changed(!down, why)
}

// state is how Vault is.
func (g *gate) state() (down bool, since time.Time, why *Failure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down, g.since, g.why
}
