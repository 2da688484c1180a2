package groupcommit

import (
	"runtime"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/journal"
)

// keep is the one goroutine that writes the journal: it ends when the DB is closed and nothing waits.
func (db *DB) keep() {
	a := db.ahead
	defer close(a.stopped)
	for range a.wake {
		for {
			group, end := db.takeGroup()
			if len(group) == 0 {
				if end {
					return
				}
				break
			}
			db.keepGroup(group)
			if len(group) > 1 {
				runtime.Gosched() // as write does
			}
		}
	}
}

// takeGroup takes what fits into the segment, or turns to the other one. It takes nothing while that has records that
// have not landed: landing wakes the keeper.
func (db *DB) takeGroup() (group []*appended, end bool) {
	a := db.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.busy = false; len(a.waiting) > 0 && len(group) == 0; {
		if a.file == nil || a.failed {
			a.take(len(a.waiting), func(e *appended) { e.done <- ErrNoJournal })
			break
		}
		n := a.fitting(a.file.Room())
		if n == 0 {
			a.due = true
			db.signal() // the segment is full
			if !a.file.Turn(a.landed.Next) {
				return nil, false
			}
			n = a.fitting(a.file.Room())
		}
		a.take(n, func(e *appended) { group = append(group, e) })
	}
	a.busy = len(group) > 0
	return group, a.closed && len(a.waiting) == 0
}

// take hands over the first n that wait, without those whose callers gave up.
func (a *ahead) take(n int, to func(*appended)) {
	for _, e := range a.waiting[:n] {
		if e.claimed.CompareAndSwap(false, true) {
			to(e)
		}
	}
	rest := copy(a.waiting, a.waiting[n:])
	clear(a.waiting[rest:])
	a.waiting = a.waiting[:rest]
}

// fitting counts the waiting records that fit into room together, of the size of one group.
func (a *ahead) fitting(room int) (n int) {
	size := 0
	for _, e := range a.waiting {
		need := 0
		if e.kept != nil {
			need = journal.Space(len(e.record))
		}
		if size+need > room || n > 0 && size+need > groupBytes {
			break
		}
		size += need
		n++
	}
	return n
}

// keepGroup writes a group and answers it.
func (db *DB) keepGroup(group []*appended) {
	a := db.ahead
	var records [][]byte
	for _, e := range group {
		if e.kept != nil {
			records = append(records, e.record)
		}
	}
	var err error
	if len(records) > 0 {
		err = a.file.Write(records)
	}
	for _, e := range group {
		if e.kept != nil && err == nil {
			e.kept()
		}
	}
	db.kept(records, err)
	if err != nil {
		err = ErrNoJournal
	}
	for _, e := range group {
		e.done <- err
	}
}

// kept notes what came of a group. What a failed write has left in the file must not come back once its letters have
// taken the other way: the end counts it as landed by the next commit, and nothing is written there any more.
func (db *DB) kept(records [][]byte, err error) {
	a := db.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(records) == 0 {
		return
	}
	a.end = a.file.Position()
	if err != nil {
		_ = a.file.Close()
		a.file = nil
		return
	}
	a.records = append(a.records, records...)
	db.expectLanding()
}
