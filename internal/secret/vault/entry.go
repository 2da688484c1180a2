package vault

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// entry is what is known of one path. What calls read is swapped whole; the lock is for those who fetch.
type entry struct {
	path   string
	latest atomic.Pointer[reading] // nil: nothing was read yet
	used   atomic.Int64            // Unix nanoseconds, to the second

	mu       sync.Mutex
	flight   chan struct{} // closed when the fetch under way has ended; nil: none is
	failures int           // answers in a row that were no
	again    time.Time     // not fetched before
	why      *Failure      // of the last fetch, when it failed
	refused  bool          // the last answer was no: nothing may be used beyond its TTL
}

// reading is what Vault answered: the fields of a secret, or that there is none.
type reading struct {
	fields  map[string]secret.Value
	failure *Failure  // nil: there are fields
	fetched time.Time // when it was asked for
	refresh time.Time // when to ask again in the background
	expires time.Time // when it is not to be used without asking again
}

// failed is a reading that nobody keeps.
func failed(f *Failure) *reading { return &reading{failure: f} }

func (r *reading) good() bool { return r != nil && r.failure == nil }

func (r *reading) field(name string) (secret.Value, *Failure) {
	if r.failure != nil {
		return secret.Value{}, r.failure
	}
	value, ok := r.fields[name]
	switch {
	case !ok:
		return value, &Failure{Absent, "the secret has no field of this name that holds text"}
	case value.Empty():
		return value, &Failure{Absent, "the field is empty"}
	}
	return value, nil
}

// touch notes that somebody wants the secret. Most calls only read: a line that all processors write would be slow.
func (e *entry) touch(now time.Time) {
	if ns := now.UnixNano(); ns-e.used.Load() > int64(time.Second) {
		e.used.Store(ns)
	}
}

func (e *entry) idle(now time.Time) time.Duration { return now.Sub(time.Unix(0, e.used.Load())) }

// usable is what to go on with when Vault does not answer: the last good reading if it may still be used, else why there
// is none. The caller holds the lock.
func (e *entry) usable(now time.Time, stale time.Duration) *reading {
	r := e.latest.Load()
	switch {
	case r != nil && now.Before(r.expires), r.good() && !e.refused && now.Before(r.expires.Add(stale)):
		return r
	case e.why != nil:
		return failed(e.why)
	}
	return failed(&Failure{Unreachable, "Vault did not answer in time"})
}

// prune drops the tenth of the paths that was not used longest.
func (s *Store) prune() {
	if !s.pruning.TryLock() {
		return
	}
	defer s.pruning.Unlock()
	var all []*entry
	s.entries.Range(func(_, e any) bool {
		all = append(all, e.(*entry))
		return true
	})
	used := make(map[*entry]int64, len(all))
	for _, e := range all {
		used[e] = e.used.Load() // once: it changes while we sort
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(used[a], used[b]) })
	for _, e := range all[:max(len(all)-s.config.MaxPaths*9/10, 0)] {
		s.drop(e)
	}
}

func (s *Store) drop(e *entry) {
	if s.entries.CompareAndDelete(e.path, e) {
		s.count.Add(-1)
	}
}
