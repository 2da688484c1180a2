package groupcommit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/journal"
)

// ErrNoJournal is returned by Append when the record must take the other way, through Do: there is no journal, the
// record is too large, or the disk has failed. Nothing was promised then, though part of it may be found after a crash.
var ErrNoJournal = errors.New("there is no journal")

// Journal is a file beside the store for records that must be kept at once and may be brought to their places later.
type Journal struct {
	Path    string
	Segment int // bytes of half the file; default 2 MiB, less on a small disk, below 256 KiB none
	// Apply brings records to their places, in the order in which they were kept. It is called once for each record that
	// counts, but tries that fail or are thrown away come before, and one that a failed commit left may come again.
	// An error keeps everything else from being committed.
	Apply func(tx *bbolt.Tx, records [][]byte) error
}

const (
	defaultSegment = 2 << 20
	// landAfter bounds how long a record lies in the journal alone, and thereby what a start has to do.
	landAfter = time.Second
	// groupBytes bounds what one write of the journal copies.
	groupBytes = 1 << 20
)

// ahead is what the journal holds and the file does not yet.
type ahead struct {
	options Journal
	aside   string // where a damaged journal is now
	missing int    // records that could not be read when the journal was opened
	stopped chan struct{}
	wake    chan struct{} // holds one token when the keeper may have something to do

	mu      sync.Mutex
	waiting []*appended
	busy    bool             // a group is being written
	closed  bool             // nothing is taken any more
	records [][]byte         // kept, not landed
	landing bool             // records count: not before Replay
	end     journal.Position // after the last of records
	landed  journal.Position // in the file
	file    *journal.File    // nil: none yet, or none any more
	opened  bool
	failed  bool        // the last try to land failed: what comes takes the other way
	due     bool        // records must land now
	timer   *time.Timer // makes them due
	last    bool        // the try of Close is over
}

// An appended record waits until either the keeper or its caller, giving up, claims it. One without kept is a mark that
// settle leaves.
type appended struct {
	record  []byte
	kept    func()
	claimed atomic.Bool
	done    chan error
}

// Append keeps a record and returns when it is on disk: in the journal, from where it lands in the file a little later,
// but before any Do or View. kept is called then, in the order of records and before anybody sees it there; it must
// be quick. The record belongs to the journal from now on.
//
// The error is ErrNoJournal, or ErrClosed, or ctx's when nothing was done yet. A journal that is full waits for its
// records to land.
func (db *DB) Append(ctx context.Context, record []byte, kept func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := &appended{record: record, kept: kept, done: make(chan error, 1)}
	if err := db.ahead.enqueue(e); err != nil {
		return err
	}
	return e.wait(ctx)
}

// Journals reports whether Append would take a record of n bytes now.
func (db *DB) Journals(n int) bool {
	a := db.ahead
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.takes(n)
}

func (a *ahead) takes(n int) bool { return a.file != nil && !a.failed && n <= a.file.MaxRecord() }

func (a *ahead) enqueue(e *appended) error {
	if a == nil {
		return ErrNoJournal
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return ErrClosed
	case !a.takes(len(e.record)):
		return ErrNoJournal
	}
	a.waiting = append(a.waiting, e)
	signal(a.wake)
	return nil
}

func (e *appended) wait(ctx context.Context) error {
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		if e.claimed.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-e.done
	}
}

// settle returns when every record that was handed to Append before is kept or refused.
func (db *DB) settle(ctx context.Context) error {
	a := db.ahead
	if a == nil {
		return nil
	}
	mark := &appended{done: make(chan error, 1)}
	a.mu.Lock()
	if a.closed || !a.busy && len(a.waiting) == 0 {
		a.mu.Unlock()
		return nil
	}
	a.waiting = append(a.waiting, mark)
	signal(a.wake)
	a.mu.Unlock()
	if err := mark.wait(ctx); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default: // it has been told already
	}
}
