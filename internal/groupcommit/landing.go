package groupcommit

import (
	"context"
	"errors"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/journal"
)

// JournalBucket holds one value: up to where the journal's records are in the file. It is written in the transaction that
// brings them, so that none comes twice. A value that is no position says that it is lost, see Salvage.
const JournalBucket = "journal"

func journalBucket() []byte { return []byte(JournalBucket) }
func positionKey() []byte   { return []byte("position") }

func losePosition(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(journalBucket())
	if err != nil {
		return err
	}
	return b.Put(positionKey(), []byte{0})
}

// openJournal reads what the journal holds. A journal that cannot be read or written is no reason not to start.
func (db *DB) openJournal() {
	o := db.options.Journal
	if o == nil {
		return
	}
	a := &ahead{options: *o, stopped: make(chan struct{}), wake: make(chan struct{}, 1)}
	if a.options.Segment == 0 {
		a.options.Segment = defaultSegment
	}
	db.ahead = a
	found := db.readJournal(o.Path)
	a.records, a.missing = found.Records, found.Missing
	go db.keep()
}

func (db *DB) readJournal(path string) (found journal.Found) {
	var value []byte
	_ = db.Peek(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(journalBucket()); b != nil {
			if v := b.Get(positionKey()); v != nil {
				value = append([]byte{}, v...)
			}
		}
		return nil
	})
	if value == nil { // nothing was ever kept for this file
		return found
	}
	if from, ok := journal.ParsePosition(value); ok {
		found, _ = journal.Read(path, from)
	} else {
		found, _ = journal.ReadAll(path)
	}
	return found
}

// Replay lets the records count that the journal held at Open, and those of Append from now on. found is told of them
// before anybody sees them in the file. missing is how many had been kept and cannot be read: then the journal is
// moved aside, if it can be, to the name that is returned. Until Replay there is no journal.
func (db *DB) Replay(found func(records [][]byte)) (missing int, aside string) {
	a := db.ahead
	if a == nil {
		return 0, ""
	}
	found(a.records)
	a.mu.Lock()
	a.landing, a.end = true, journal.Begin()
	a.mu.Unlock()
	_ = db.flush() // else the next commit does it
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.missing, a.aside
}

// behind reports whether the file lacks records.
func (db *DB) behind() bool {
	a := db.ahead
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.landing && len(a.records) > 0
}

// flush lets the records land.
func (db *DB) flush() error {
	return db.do(context.Background(), 0, func(*bbolt.Tx) error { return nil })
}

// errSeen rolls back the transaction of viewAhead.
var errSeen = errors.New("seen")

// viewAhead runs op in a write transaction in which the records are, and which is not committed.
func (db *DB) viewAhead(op func(*bbolt.Tx) error) (err error, seen bool) {
	_ = db.do(context.Background(), 0, func(tx *bbolt.Tx) error {
		seen = true
		err = call(op, tx)
		return errSeen
	})
	return err, seen
}

// land brings the records to their places, within a transaction.
func (db *DB) land(tx *bbolt.Tx) error {
	a := db.ahead
	if a == nil {
		return nil
	}
	a.mu.Lock()
	records, end, due := a.records, a.end, a.landing && a.end != a.landed
	a.due = false
	a.mu.Unlock()
	if !due {
		return nil
	}
	if len(records) > 0 {
		apply := func(tx *bbolt.Tx) error { return a.options.Apply(tx, records) }
		if err := call(apply, tx); err != nil {
			return err
		}
	}
	b, err := tx.CreateBucketIfNotExists(journalBucket())
	if err != nil {
		return err
	}
	tx.OnCommit(func() { db.hasLanded(len(records), end) })
	return b.Put(positionKey(), end.Append(nil))
}

// hasLanded follows a commit. After the first one the journal can be written.
func (db *DB) hasLanded(n int, end journal.Position) {
	a := db.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append([][]byte(nil), a.records[n:]...)
	a.landed, a.failed = end, false
	if !a.opened {
		a.opened = true
		a.open(end)
	}
	db.expectLanding()
	signal(a.wake)
}

// open makes the journal ready. Without it all takes the other way.
func (a *ahead) open(from journal.Position) {
	path := a.options.Path
	if a.missing > 0 {
		if aside, err := moveAside(path, time.Now()); err == nil {
			a.aside = aside
			_ = os.Remove(path) // it has two names now
		}
	}
	a.file, _ = journal.Open(path, a.options.Segment, from)
}

// landFailed follows a commit that failed. What comes takes the other way until one succeeds, so that a disk that is
// full is told to callers rather than filled up to the end of the journal.
func (db *DB) landFailed() {
	a := db.ahead
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed = a.landing && a.end != a.landed; a.failed {
		db.expectLanding()
		signal(a.wake)
	}
}

// expectLanding sees to it that the records land some time. It is called under the lock.
func (db *DB) expectLanding() {
	a := db.ahead
	if a.timer != nil || a.closed || len(a.records) == 0 {
		return
	}
	a.timer = time.AfterFunc(landAfter, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.timer, a.due = nil, true
		db.signal()
	})
}

// mustLand reports whether records must land although no operation waits: when it is time to, and once before the end.
func (db *DB) mustLand(closed bool) bool {
	a := db.ahead
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	due := a.due || closed && !a.last
	a.due, a.last = false, closed
	return due && a.landing && a.end != a.landed
}

// closeJournal ends the keeper. What it kept is still to land.
func (db *DB) closeJournal() {
	a := db.ahead
	if a == nil {
		return
	}
	a.mu.Lock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
	signal(a.wake)
	a.mu.Unlock()
	<-a.stopped
}

func (db *DB) forgetJournal() {
	if a := db.ahead; a != nil && a.file != nil {
		_ = a.file.Close()
	}
}
