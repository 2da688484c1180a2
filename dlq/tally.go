package dlq

import (
	"errors"
	"hash/maphash"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Stats is what a scrape may show of the spool.
type Stats struct {
	ByState       map[State]int  // every state has its entry
	OpenByAdapter map[string]int // open letters by adapter id; an adapter without any has no entry
	Bytes         int64          // what all letters count against MaxBytes
	MaxBytes      int64
	Yielding      int64         // what of Bytes makes way when there is no room for another: closed and forwarded letters
	Oldest        time.Time     // when the first open letter, in the order of ids, was created; zero when there is none
	OpenByGroup   map[Group]int // open letters by adapter id and error type, likewise
	Quarantined   int           // letters that could not be read and were moved aside, ever
	Expired       int           // letters removed for their age since the spool was opened
	Lost          int           // letters that Put could not take since the spool was opened
	LastLost      time.Time     // when that was last
	Failing       string        // why the last Put failed; "" when it did not
	Evicted       int           // closed and forwarded letters removed to make room since the spool was opened
	Outbox        int           // letters that a sink has yet to learn of
	OutboxOldest  time.Time     // since when the first of them waits; zero when there is none
	Damaged       string        // what was wrong with the file when the spool was opened, and what was done; "" when nothing
}

// Group is what alerts are grouped by.
type Group struct {
	AdapterID string
	ErrorType problem.ErrorType
}

// A change is what a transaction did, known once it is on disk.
type change struct {
	added, removed []summary
	evicted        int
	expired        int
	quarantined    int
	landed         int // letters of the journal, which were counted before

	queued, unqueued int // entries of the outbox
}

// A tally is the spool's memory of its letters: numbers, no letter by itself. Scopes are kept as 8 bytes of their
// hash, which may collide: whoever follows a hint looks at the letter.
type tally struct {
	mu       sync.Mutex
	stats    Stats
	yielding int64          // bytes of letters that may make way
	scopes   scopeHints     // open letters by scope
	coming   map[uint64]int // those on their way
	ahead    ahead
	seed     maphash.Seed // of the hash of scopes
}

func newTally(seed maphash.Seed) *tally {
	t := &tally{scopes: newScopeHints(), coming: make(map[uint64]int), seed: seed}
	t.ahead.ids = make(map[string]bool)
	t.stats.ByState = make(map[State]int, len(States()))
	t.stats.OpenByAdapter, t.stats.OpenByGroup = make(map[string]int), make(map[Group]int)
	for _, s := range States() {
		t.stats.ByState[s] = 0
	}
	return t
}

// recounted takes over what was counted anew, by a tally of the same seed. What happened since the spool was opened
// stays.
func (t *tally) recounted(c *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.yielding, t.scopes = c.yielding, c.scopes
	now, s := c.stats, &t.stats
	s.ByState, s.OpenByAdapter, s.OpenByGroup = now.ByState, now.OpenByAdapter, now.OpenByGroup
	s.Bytes, s.Outbox, s.Quarantined = now.Bytes, now.Outbox, now.Quarantined
	for _, j := range t.ahead.letters { // they were not in the file yet
		t.countAhead(j, 1)
	}
}

func (t *tally) apply(c change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.landed(c.landed)
	for _, s := range c.removed {
		t.count(s, -1)
	}
	for _, s := range c.added {
		t.count(s, 1)
	}
	t.stats.Evicted += c.evicted
	t.stats.Expired += c.expired
	t.stats.Quarantined += c.quarantined
	t.stats.Outbox += c.queued - c.unqueued
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
	if s.yields() {
		t.yielding += int64(n) * s.size
	}
	if !s.state.Open() {
		return
	}
	countIn(t.stats.OpenByAdapter, s.adapter, n)
	countIn(t.stats.OpenByGroup, Group{s.adapter, s.errorType}, n)
	switch key := maphash.String(t.seed, s.scope); {
	case s.scope == "":
	case n > 0:
		t.scopes.add(key, s.hint)
	default:
		t.scopes.remove(key, s.hint)
	}
}

// countIn adds n and leaves no entry of nothing.
func countIn[K comparable](m map[K]int, key K, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

// expectScope adds n letters to those on their way.
func (t *tally) expectScope(s summary, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expect(s, n)
}

func (t *tally) expect(s summary, n int) {
	if s.scope != "" && s.state.Open() {
		countIn(t.coming, maphash.String(t.seed, s.scope), n)
	}
}

// hints lead to the open letters of a scope that are on disk.
func (t *tally) hints(scope string) []hint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.scopes.of(maphash.String(t.seed, scope))
}

// mayHaveScope is false when certainly no open letter has this scope.
func (t *tally) mayHaveScope(scope string) bool {
	key := maphash.String(t.seed, scope)
	t.mu.Lock()
	defer t.mu.Unlock()
	_, found := t.scopes.first[key]
	return found || t.coming[key] > 0
}

// withoutRoom reports whether size more does not fit into limit even when every letter that may makes way.
func (t *tally) withoutRoom(size, limit int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats.Bytes-t.yielding+size > limit
}

// snapshot copies the numbers.
func (t *tally) snapshot() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Yielding = t.yielding
	s.ByState = maps.Clone(s.ByState)
	s.OpenByAdapter = maps.Clone(s.OpenByAdapter)
	s.OpenByGroup = maps.Clone(s.OpenByGroup)
	return s
}
