// Package groupcommit shares one fsync among all writers that wait for one.
//
// It wraps a bbolt file. One goroutine writes: it takes whatever operations wait, runs them in a single transaction,
// commits it, and answers them all. Nothing is ever delayed to collect company: a lone writer pays for its own
// commit and nothing else, while under load those who arrive during one commit travel together in the next.
//
// With a journal, records are kept at the price of one sync of an append, and land in the file a moment later, in one
// transaction with many others: see Append. Whoever uses the file by Do or View finds them there.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// ErrClosed is returned for operations that come after Close.
var ErrClosed = errors.New("the store is closed")

// ErrPanic is wrapped by errors that were panics.
var ErrPanic = errors.New("panic")

// DB is an open file. Its methods are safe for concurrent use.
type DB struct {
	bolt    *bbolt.DB
	file    *os.File // bbolt's own handle
	options Options

	mu      sync.Mutex
	waiting []*operation
	closed  bool

	wake    chan struct{} // holds one token when the writer may have something to do
	stopped chan struct{} // closed when the writer has ended

	uses    atomic.Int64 // operations and reads since the last trim
	suspect bool         // of the writer alone: the last commit failed, see heal
	broken  error        // of the writer: bbolt panicked, see update

	ahead *ahead // what the journal holds and the file does not yet; nil without a journal
}

// An operation is waiting until either the writer or its caller, giving up, claims it.
type operation struct {
	run     func(*bbolt.Tx) error
	weight  int
	claimed atomic.Bool
	done    chan error
}

// Do runs op in a write transaction and returns when that is on disk.
//
// Operations of other callers share the transaction. One that fails or panics is taken out and the others run again
// without it, so op may run more than once and must set what it hands to its caller, never add to it; it must not keep
// the transaction or start another. A failed operation costs a rollback: report what is merely unwelcome (a full
// store, an absent record) through a captured variable.
//
// The error is op's own, or ctx's when op was never started: once started it is carried through and Do waits for it
// however ctx stands. Any other error means that the commit failed; then nothing of op can be relied on, and the
// next operations are tried anew.
//
// It sees every record that was handed to Append before.
func (db *DB) Do(ctx context.Context, op func(*bbolt.Tx) error) error {
	return db.DoWeighed(ctx, 0, op)
}

// DoWeighed is Do for an operation that writes about weight bytes, so that large ones do not meet in one transaction,
// which is held in memory until it is committed.
func (db *DB) DoWeighed(ctx context.Context, weight int, op func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.settle(ctx); err != nil {
		return err
	}
	return db.do(ctx, weight, op)
}

func (db *DB) do(ctx context.Context, weight int, op func(*bbolt.Tx) error) error {
	o := &operation{run: op, weight: weight, done: make(chan error, 1)}
	if err := db.enqueue(o); err != nil {
		return err
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.claimed.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-o.done
	}
}

func (db *DB) enqueue(o *operation) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	db.waiting = append(db.waiting, o)
	db.signal()
	return nil
}

func (db *DB) signal() {
	select {
	case db.wake <- struct{}{}:
	default: // the writer has been told already
	}
}

// View runs op in a read transaction: a consistent picture of what is on disk. It must be short, because pages freed
// meanwhile cannot be used again, and must not call Do, which may wait for all readers to end. A panic, of op or of
// bbolt over a damaged page, becomes an error that wraps ErrPanic; so does a page that the disk does not give.
//
// It sees every record that Append has kept, and brings them into the file for it. When the disk has no room for that
// op sees them all the same, in a transaction that is thrown away.
func (db *DB) View(op func(*bbolt.Tx) error) (err error) {
	if db.behind() && db.flush() != nil {
		if err, seen := db.viewAhead(op); seen {
			return err
		}
	}
	return db.Peek(op)
}

// Peek is View without the records that only the journal holds: it waits for nothing.
func (db *DB) Peek(op func(*bbolt.Tx) error) (err error) {
	defer db.used(1)
	defer recoverInto(&err)
	defer faultsPanic()()
	return db.bolt.View(op)
}

// Size returns the bytes of the file that are in use or were; the file never shrinks.
func (db *DB) Size() (size int64) {
	_ = db.Peek(func(tx *bbolt.Tx) error { size = tx.Size(); return nil })
	return size
}

// Used returns the bytes of the file that hold something.
func (db *DB) Used() int64 {
	s := db.bolt.Stats()
	return db.Size() - int64(s.FreePageN+s.PendingPageN)*int64(db.bolt.Info().PageSize)
}

// Close runs what waits, brings what the journal holds into the file, then closes both. Closing twice is allowed.
func (db *DB) Close() error {
	db.closeJournal()
	db.mu.Lock()
	db.closed = true
	db.signal()
	db.mu.Unlock()
	<-db.stopped
	db.forgetJournal()
	if db.broken != nil { // bbolt would wait for its lock; the kernel's is given back
		return fmt.Errorf("close the store: %w", errors.Join(db.broken, db.file.Close()))
	}
	if err := db.bolt.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

func recoverInto(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrPanic, p)
	}
}

// faultsPanic makes this goroutine panic where reading the mapping would end the process: a page beyond the end of the
// file, or one that the disk cannot read. The function it returns restores what was.
func faultsPanic() (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}
