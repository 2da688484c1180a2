package groupcommit

import (
	"fmt"
	"runtime"

	"go.etcd.io/bbolt"
)

// write is the one writer: it ends when the DB is closed and nothing waits.
func (db *DB) write() {
	defer close(db.stopped)
	defer faultsPanic()()
	batch := make([]*operation, 0, 16)
	for range db.wake {
		for {
			var closed bool
			batch, closed = db.take(batch[:0])
			if len(batch) == 0 && !db.mustLand(closed) {
				if closed {
					return
				}
				break
			}
			company := len(batch) > 1
			db.commit(batch)
			db.used(len(batch))
			clear(batch)
			if company {
				// Those just answered are about to come back: let them, rather than start with the first of them alone.
				runtime.Gosched()
			}
		}
	}
}

// take moves waiting operations into batch, up to its bounds, and leaves out those whose callers gave up.
func (db *DB) take(batch []*operation) (taken []*operation, closed bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	weight, n := 0, 0
	for _, o := range db.waiting {
		if len(batch) > 0 && (len(batch) == db.options.MaxBatch || weight+o.weight > db.options.MaxBatchBytes) {
			break
		}
		n++
		if o.claimed.CompareAndSwap(false, true) {
			batch = append(batch, o)
			weight += o.weight
		}
	}
	rest := copy(db.waiting, db.waiting[n:])
	clear(db.waiting[rest:])
	db.waiting = db.waiting[:rest]
	return batch, db.closed
}

// commit runs the batch and answers each operation, repeating without those that fail by themselves.
func (db *DB) commit(batch []*operation) {
	if len(batch) == 0 { // what the journal holds, alone
		_, _ = db.attempt(nil)
		return
	}
	for len(batch) > 0 {
		failed, err := db.attempt(batch)
		if failed < 0 {
			for _, o := range batch {
				o.done <- err
			}
			return
		}
		batch[failed].done <- err
		batch = append(batch[:failed], batch[failed+1:]...)
	}
}

// attempt runs the batch in one transaction. failed is the index of an operation that failed, then err is its own
// and nothing was written; or -1, then err is the commit's. What the journal holds comes first.
func (db *DB) attempt(batch []*operation) (failed int, err error) {
	failed = -1
	err = db.update(func(tx *bbolt.Tx) error {
		if err := db.land(tx); err != nil {
			return err
		}
		for i, o := range batch {
			if err := call(o.run, tx); err != nil {
				failed = i
				return err
			}
		}
		if err := db.heal(); err != nil {
			return fmt.Errorf("the disk has not recovered: %w", err)
		}
		return nil
	})
	if err != nil && failed < 0 {
		db.suspect = true
		db.landFailed()
		err = fmt.Errorf("commit: %w", err)
	}
	return failed, err
}

// update is bbolt's, whose lock nobody gives back after a panic of its own: whoever asked for it again would wait forever.
func (db *DB) update(fn func(*bbolt.Tx) error) (err error) {
	if db.broken != nil {
		return db.broken
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrPanic, p)
			db.broken = err
		}
	}()
	return db.bolt.Update(fn)
}

func call(fn func(*bbolt.Tx) error, tx *bbolt.Tx) (err error) {
	defer recoverInto(&err)
	return fn(tx)
}

// heal makes the disk agree with memory again after a failed commit.
//
// When the sync of the meta page fails, the kernel drops the page's dirty mark: memory shows the new tree, the disk may
// hold the old one, and a later sync reports success without writing it. The next commit would then reuse pages the
// disk's tree still needs, and a crash in its middle would lose everything. So both meta pages are written and
// synced again before the next commit writes anything.
func (db *DB) heal() (err error) {
	if !db.suspect {
		return nil
	}
	defer recoverInto(&err) // bbolt panics when a failed mapping left it without data
	metas := make([]byte, 2*db.bolt.Info().PageSize)
	if _, err := db.file.ReadAt(metas, 0); err != nil {
		return err
	}
	if _, err := db.file.WriteAt(metas, 0); err != nil {
		return err
	}
	if err := db.file.Sync(); err != nil {
		return err
	}
	db.suspect = false
	return nil
}
