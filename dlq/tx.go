package dlq

import (
	"bytes"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// The file has these buckets; an id is the letter's id as text, a sequence 8 bytes.
//
//	heads       id → head
//	bodies      id → body, for letters that have one
//	open        id → when it was created, for open letters: the first is the oldest
//	closed      id → nothing, for the others: the first makes way first
//	forwarded   id → nothing, for the open letters that a sink has: they make way after the closed ones
//	outbox      sequence → since when it waits, id: what a sink has yet to learn
//	waiting     id → its sequence in the outbox
//	account     "bytes" → what all letters and what those that may make way count, two integers
//	quarantine  id, zero byte, "head" or "body" → what could not be read
//
// Only heads, bodies, outbox and quarantine tell anything: the others are made of them, see reindex.
func bucketHeads() []byte      { return []byte("heads") }
func bucketBodies() []byte     { return []byte("bodies") }
func bucketOpen() []byte       { return []byte("open") }
func bucketClosed() []byte     { return []byte("closed") }
func bucketForwarded() []byte  { return []byte("forwarded") }
func bucketOutbox() []byte     { return []byte("outbox") }
func bucketWaiting() []byte    { return []byte("waiting") }
func bucketAccount() []byte    { return []byte("account") }
func bucketQuarantine() []byte { return []byte("quarantine") }

// indexes are the buckets that reindex makes anew.
func indexes() [][]byte {
	return [][]byte{bucketOpen(), bucketClosed(), bucketForwarded(), bucketWaiting()}
}

func buckets() [][]byte {
	return append(indexes(), bucketHeads(), bucketBodies(), bucketOutbox(), bucketAccount(), bucketQuarantine())
}

// sequentialFill leaves little room in pages that are filled in order: no later id falls between earlier ones.
const sequentialFill = 0.9

// A transaction is a write transaction on the spool's buckets. It gathers what it changes, for the tally in memory
// once it is on disk, and keeps the account that later operations of the same commit see.
type transaction struct {
	tx                      *bbolt.Tx
	config                  *Config
	tally                   *tally // of what is on disk
	commit                  *commit
	letters, bodies         *bbolt.Bucket
	open, closed, forwarded *bbolt.Bucket
	outbox, waiting         *bbolt.Bucket
	accounts                *bbolt.Bucket
	bytes, yielding         int64
	since                   time.Time // when letters that are queued began to wait; zero: now
	change                  change
}

// A commit is what the operations of one commit share, and forget when it fails.
type commit struct {
	tx     *bbolt.Tx
	scopes map[string][]hint // open letters it brings, by scope
	landed int               // letters it brings from the journal
}

// begin is called by the one goroutine that writes.
func (s *Spool) begin(tx *bbolt.Tx) *transaction {
	if s.commit == nil || s.commit.tx != tx {
		s.commit = &commit{tx: tx, scopes: make(map[string][]hint)}
	}
	t := &transaction{
		tx: tx, config: &s.config, tally: s.tally, commit: s.commit,
		letters: tx.Bucket(bucketHeads()), bodies: tx.Bucket(bucketBodies()),
		open: tx.Bucket(bucketOpen()), closed: tx.Bucket(bucketClosed()), forwarded: tx.Bucket(bucketForwarded()),
		outbox: tx.Bucket(bucketOutbox()), waiting: tx.Bucket(bucketWaiting()), accounts: tx.Bucket(bucketAccount()),
	}
	for _, ordered := range []*bbolt.Bucket{t.letters, t.bodies, t.open, t.closed, t.forwarded, t.outbox, t.waiting} {
		ordered.FillPercent = sequentialFill
	}
	if value := t.accounts.Get([]byte("bytes")); len(value) == 16 {
		t.bytes = int64(binary.BigEndian.Uint64(value))
		t.yielding = int64(binary.BigEndian.Uint64(value[8:]))
	}
	return t
}

// account writes what the letters count now.
func (t *transaction) account() error {
	value := append(integer(uint64(t.bytes)), integer(uint64(t.yielding))...)
	return t.accounts.Put([]byte("bytes"), value)
}

func (t *transaction) add(s summary) {
	t.change.added = append(t.change.added, s)
	t.bytes += s.size
	if s.yields() {
		t.yielding += s.size
	}
}

func (t *transaction) subtract(s summary) {
	t.change.removed = append(t.change.removed, s)
	t.bytes -= s.size
	if s.yields() {
		t.yielding -= s.size
	}
}

// yields reports whether the letter may make way: it is closed, or a sink has it.
func (s summary) yields() bool { return s.state != Dead }

func (t *transaction) insert(w writing) error {
	t.add(w.summary)
	if len(w.body) > 0 {
		if err := t.bodies.Put(w.id, w.body); err != nil {
			return err
		}
	}
	if err := t.letters.Put(w.id, w.head); err != nil {
		return err
	}
	if err := t.index(w.id, w.summary); err != nil {
		return err
	}
	if w.summary.state == Forwarded { // a sink has it: it was adopted from there
		return nil
	}
	return t.queue(w.id)
}

// replace writes a changed head, and the body when it was changed too. A sink learns of a new state that is not its
// own doing.
func (t *transaction) replace(former summary, w writing, newBody bool) error {
	t.subtract(former)
	t.add(w.summary)
	if err := t.dropIndex(w.id, former); err != nil {
		return err
	}
	if newBody {
		if err := t.bodies.Put(w.id, w.body); err != nil {
			return err
		}
	}
	if err := t.letters.Put(w.id, w.head); err != nil {
		return err
	}
	if err := t.index(w.id, w.summary); err != nil {
		return err
	}
	if w.summary.state == former.state || w.summary.state == Forwarded {
		return nil
	}
	return t.queue(w.id)
}

// index writes the entries by which a letter is found.
func (t *transaction) index(id []byte, s summary) error {
	if !s.state.Open() {
		return t.closed.Put(id, nil)
	}
	if err := t.open.Put(id, integer(uint64(s.created.UnixNano()))); err != nil {
		return err
	}
	if s.state == Forwarded {
		if err := t.forwarded.Put(id, nil); err != nil {
			return err
		}
	}
	if s.scope != "" {
		t.commit.scopes[s.scope] = append(t.commit.scopes[s.scope], s.hint)
	}
	return nil
}

func (t *transaction) dropIndex(id []byte, s summary) error {
	if !s.state.Open() {
		return t.closed.Delete(id)
	}
	if err := t.open.Delete(id); err != nil {
		return err
	}
	if s.state != Forwarded {
		return nil
	}
	return t.forwarded.Delete(id)
}

// remove deletes a letter of which s is known.
func (t *transaction) remove(id []byte, s summary) error {
	t.subtract(s)
	if err := t.dropIndex(id, s); err != nil {
		return err
	}
	if err := t.unqueue(id); err != nil {
		return err
	}
	if err := t.bodies.Delete(id); err != nil {
		return err
	}
	return t.letters.Delete(id)
}

// makeRoom removes closed letters, then forwarded ones, the oldest of each first, until size more fits into the
// spool, beside reserved bytes. The verdict is ErrFull, and nothing is removed, when all of them together are not enough.
func (t *transaction) makeRoom(size, reserved int64) (verdict, err error) {
	limit := t.config.MaxBytes - reserved
	if t.bytes-t.yielding+size > limit {
		return ErrFull, nil
	}
	for t.bytes+size > limit {
		from := t.closed
		id, _ := from.Cursor().First()
		if id == nil {
			from = t.forwarded
			id, _ = from.Cursor().First()
		}
		if id == nil {
			return ErrFull, nil
		}
		if err := t.evict(bytes.Clone(id), from); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (t *transaction) evict(id []byte, from *bbolt.Bucket) error {
	s, ok := decodeSummary(id, t.letters.Get(id))
	if !ok { // damaged since open, found and moved aside when somebody reads it: no longer a candidate
		return from.Delete(id)
	}
	t.change.evicted++
	return t.remove(id, s)
}

func integer(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
