package dlq

import (
	"crypto/sha256"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// The file has these buckets; an id is the letter's id as text.
//
//	heads       id → head
//	bodies      id → body, for letters that have one
//	scopes      SHA-256 of the scope, id → nothing, for open letters with a scope
//	open        id → when it was created, for open letters: the first is the oldest
//	closed      id → nothing, for the others: the first makes way first
//	account     "bytes" → what all letters and what closed ones count, two integers
//	quarantine  id, zero byte, "head" or "body" → what could not be read
func bucketHeads() []byte      { return []byte("heads") }
func bucketBodies() []byte     { return []byte("bodies") }
func bucketScopes() []byte     { return []byte("scopes") }
func bucketOpen() []byte       { return []byte("open") }
func bucketClosed() []byte     { return []byte("closed") }
func bucketAccount() []byte    { return []byte("account") }
func bucketQuarantine() []byte { return []byte("quarantine") }

// sequentialFill leaves little room in pages that are filled in order: no later id falls between earlier ones.
const sequentialFill = 0.9

type scopeKey [sha256.Size]byte

func keyOfScope(scope string) scopeKey { return sha256.Sum256([]byte(scope)) }

// A transaction is a write transaction on the spool's buckets. It gathers what it changes, for the tally in memory
// once it is on disk, and keeps the account that later operations of the same commit see.
type transaction struct {
	letters, bodies, scopes, open, closed, accounts *bbolt.Bucket

	bytes, closedBytes int64
	change             change
}

func begin(tx *bbolt.Tx) *transaction {
	t := &transaction{
		letters: tx.Bucket(bucketHeads()), bodies: tx.Bucket(bucketBodies()), scopes: tx.Bucket(bucketScopes()),
		open: tx.Bucket(bucketOpen()), closed: tx.Bucket(bucketClosed()), accounts: tx.Bucket(bucketAccount()),
	}
	for _, ordered := range []*bbolt.Bucket{t.letters, t.bodies, t.open, t.closed} {
		ordered.FillPercent = sequentialFill
	}
	if value := t.accounts.Get([]byte("bytes")); len(value) == 16 {
		t.bytes = int64(binary.BigEndian.Uint64(value))
		t.closedBytes = int64(binary.BigEndian.Uint64(value[8:]))
	}
	return t
}

// account writes what the letters count now.
func (t *transaction) account() error {
	value := binary.BigEndian.AppendUint64(nil, uint64(t.bytes))
	return t.accounts.Put([]byte("bytes"), binary.BigEndian.AppendUint64(value, uint64(t.closedBytes)))
}

func (t *transaction) add(s summary) {
	t.change.added = append(t.change.added, s)
	t.bytes += s.size
	if !s.state.Open() {
		t.closedBytes += s.size
	}
}

func (t *transaction) subtract(s summary) {
	t.change.removed = append(t.change.removed, s)
	t.bytes -= s.size
	if !s.state.Open() {
		t.closedBytes -= s.size
	}
}

func (t *transaction) insert(w writing) error {
	t.add(w.summary)
	if len(w.body) > 0 {
		if err := t.bodies.Put(w.id, w.body); err != nil {
			return err
		}
	}
	return t.putHead(w.id, w.head, w.summary)
}

// replace writes a changed head, and the body when it was changed too.
func (t *transaction) replace(former summary, w writing, newBody bool) error {
	t.subtract(former)
	t.add(w.summary)
	if err := t.dropIndexes(w.id, former); err != nil {
		return err
	}
	if newBody {
		if err := t.bodies.Put(w.id, w.body); err != nil {
			return err
		}
	}
	return t.putHead(w.id, w.head, w.summary)
}

func (t *transaction) putHead(id, head []byte, s summary) error {
	if err := t.letters.Put(id, head); err != nil {
		return err
	}
	if !s.state.Open() {
		return t.closed.Put(id, nil)
	}
	if err := t.open.Put(id, binary.BigEndian.AppendUint64(nil, uint64(s.created.UnixNano()))); err != nil {
		return err
	}
	if s.scope == "" {
		return nil
	}
	return t.scopes.Put(scopeEntry(s.scope, id), nil)
}

func (t *transaction) dropIndexes(id []byte, s summary) error {
	if !s.state.Open() {
		return t.closed.Delete(id)
	}
	if err := t.open.Delete(id); err != nil {
		return err
	}
	if s.scope == "" {
		return nil
	}
	return t.scopes.Delete(scopeEntry(s.scope, id))
}

// remove deletes a letter of which s is known.
func (t *transaction) remove(id []byte, s summary) error {
	t.subtract(s)
	if err := t.dropIndexes(id, s); err != nil {
		return err
	}
	if err := t.bodies.Delete(id); err != nil {
		return err
	}
	return t.letters.Delete(id)
}

// makeRoom removes the oldest closed letters until size more fits into limit. The verdict is ErrFull, and nothing is
// removed, when all of them together are not enough.
func (t *transaction) makeRoom(size, limit int64) (verdict, err error) {
	if t.bytes-t.closedBytes+size > limit {
		return ErrFull, nil
	}
	for t.bytes+size > limit {
		id, _ := t.closed.Cursor().First()
		if id == nil {
			return ErrFull, nil
		}
		id = append([]byte(nil), id...)
		s, _, ok := decodeSummary(id, t.letters.Get(id))
		if !ok { // damaged since open, found and moved aside when somebody reads it: no longer a candidate
			if err := t.closed.Delete(id); err != nil {
				return nil, err
			}
			continue
		}
		if err := t.remove(id, s); err != nil {
			return nil, err
		}
		t.change.evicted++
	}
	return nil, nil
}

func scopeEntry(scope string, id []byte) []byte {
	key := keyOfScope(scope)
	return append(key[:], id...)
}
