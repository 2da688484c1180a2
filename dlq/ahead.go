package dlq

import (
	"slices"
	"time"
)

// ahead is what the tally knows of letters on their way to the file.
type ahead struct {
	letters  []journaled     // in the journal, in the order in which they land; counted already
	ids      map[string]bool // of these and of those that room is reserved for
	bytes    int64           // of these
	reserved int64           // bytes of letters on their way to the journal
	direct   int64           // bytes of letters on the way without a journal
}

type journaled struct {
	id      string
	summary summary
	since   time.Time
	waits   bool // for a sink
}

// reserve keeps room for a letter that goes to the journal. It is false when there may be none, or when a letter with
// this id is on its way there. Whatever it is true for ends with kept or release.
func (t *tally) reserve(w writing, limit int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.ahead
	if a.ids[string(w.id)] || t.stats.Bytes+a.reserved+a.direct+w.summary.size > limit {
		return false
	}
	a.ids[string(w.id)] = true
	a.reserved += w.summary.size
	t.expect(w.summary, 1)
	return true
}

func (t *tally) release(w writing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ahead.ids, string(w.id))
	t.unreserve(w)
}

func (t *tally) unreserve(w writing) {
	t.ahead.reserved -= w.summary.size
	t.expect(w.summary, -1)
}

// kept counts a letter that is in the journal now, instead of its reservation.
func (t *tally) kept(w writing, since time.Time, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unreserve(w)
	t.keep(w, since, waits)
}

// found counts a letter that was in the journal when the spool was opened.
func (t *tally) found(w writing, since time.Time, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep(w, since, waits)
}

func (t *tally) keep(w writing, since time.Time, waits bool) {
	j := journaled{string(w.id), w.summary, since, waits}
	t.ahead.ids[j.id] = true
	t.ahead.letters = append(t.ahead.letters, j)
	t.ahead.bytes += j.summary.size
	t.countAhead(j, 1)
}

func (t *tally) countAhead(j journaled, n int) {
	if j.summary.state != "" { // else nobody can read it
		t.count(j.summary, n)
	}
	if j.waits {
		t.stats.Outbox += n
	}
}

// landed takes the first n letters out: the change that brought them to the file counts them.
func (t *tally) landed(n int) {
	a := &t.ahead
	for _, j := range a.letters[:n] {
		t.countAhead(j, -1)
		a.bytes -= j.summary.size
		delete(a.ids, j.id)
	}
	a.letters = slices.Delete(a.letters, 0, n)
}

// goesDirect adds the bytes of a letter that takes the way without a journal.
func (t *tally) goesDirect(size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ahead.direct += size
}

// roomAhead is what the file must have room for after the first n letters of the journal.
func (t *tally) roomAhead(n int) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := t.ahead.reserved + t.ahead.bytes
	for _, j := range t.ahead.letters[:n] {
		size -= j.summary.size
	}
	return size
}

func (t *tally) isAhead(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.ahead.letters, func(j journaled) bool { return j.id == id })
}

// oldestAhead returns the first open letter of the journal in the order of ids, and since when its first letter waits
// for a sink.
func (t *tally) oldestAhead() (id string, created, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, j := range t.ahead.letters {
		if j.summary.state.Open() && (id == "" || j.id < id) {
			id, created = j.id, j.summary.created
		}
		if j.waits && since.IsZero() {
			since = j.since
		}
	}
	return id, created, since
}
