package dlq

import (
	"errors"
	"hash/maphash"
	"io/fs"
	"maps"
	"sync"
	"time"
)

// Stats is what a scrape may show of the spool.
type Stats struct {
	ByState       map[State]int  // every state has its entry
	OpenByAdapter map[string]int // open letters by adapter id; an adapter without any has no entry
	Bytes         int64          // what all letters count against MaxBytes
	MaxBytes      int64
	Oldest        time.Time // when the first open letter, in the order of ids, was created; zero when there is none
	Quarantined   int       // letters that could not be read and were moved aside, ever
	Expired       int       // letters removed for their age since the spool was opened
	Lost          int       // letters that Put could not take since the spool was opened
	LastLost      time.Time // when that was last
	Failing       string    // why the last Put failed; "" when it did not
	Evicted       int       // closed letters removed to make room since the spool was opened
}

// A change is what a transaction did, known once it is on disk.
type change struct {
	added, removed []summary
	evicted        int
	expired        int
	quarantined    int
}

// A tally is the spool's memory of its letters: numbers, no letter by itself. Scopes are kept as 8 bytes of their
// hash: should two collide, the cost is one lookup on disk.
type tally struct {
	mu     sync.Mutex
	stats  Stats
	closed int64          // bytes of closed letters
	scopes map[uint64]int // open letters, and those on their way, by scope
	seed   maphash.Seed   // of the hash of scopes
}

func (t *tally) reset() {
	t.stats = Stats{ByState: make(map[State]int, len(States())), OpenByAdapter: make(map[string]int)}
	for _, s := range States() {
		t.stats.ByState[s] = 0
	}
	t.scopes = make(map[uint64]int)
	t.seed = maphash.MakeSeed()
}

func (t *tally) apply(c change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range c.removed {
		t.count(s, -1)
	}
	for _, s := range c.added {
		t.count(s, 1)
	}
	t.stats.Evicted += c.evicted
	t.stats.Expired += c.expired
	t.stats.Quarantined += c.quarantined
}

// tried remembers how a Put ended.
func (t *tally) tried(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Failing = ""
	if err != nil {
		t.stats.Lost++
		t.stats.LastLost, t.stats.Failing = now, reason(err)
	}
}

// reason says why the disk failed, without the path that the error names.
func reason(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (t *tally) count(s summary, n int) {
	t.stats.ByState[s.state] += n
	t.stats.Bytes += int64(n) * s.size
	if !s.state.Open() {
		t.closed += int64(n) * s.size
		return
	}
	if t.stats.OpenByAdapter[s.adapter] += n; t.stats.OpenByAdapter[s.adapter] == 0 {
		delete(t.stats.OpenByAdapter, s.adapter)
	}
	t.countScope(s, n)
}

func (t *tally) countScope(s summary, n int) {
	if s.scope == "" || !s.state.Open() {
		return
	}
	key := maphash.String(t.seed, s.scope)
	if t.scopes[key] += n; t.scopes[key] == 0 {
		delete(t.scopes, key)
	}
}

func (t *tally) expectScope(s summary) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.countScope(s, 1)
}

func (t *tally) forgetScope(s summary) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.countScope(s, -1)
}

// mayHaveScope is false when certainly no open letter has this scope.
func (t *tally) mayHaveScope(scope string) bool {
	key := maphash.String(t.seed, scope)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.scopes[key] > 0
}

// withoutRoom reports whether size more does not fit into limit even when every closed letter makes way.
func (t *tally) withoutRoom(size, limit int64) bool {
	all, closed := t.weight()
	return all-closed+size > limit
}

// weight is what all letters count, and what the closed ones among them do.
func (t *tally) weight() (all, closed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats.Bytes, t.closed
}

// snapshot copies the numbers.
func (t *tally) snapshot() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.ByState = maps.Clone(s.ByState)
	s.OpenByAdapter = maps.Clone(s.OpenByAdapter)
	return s
}
