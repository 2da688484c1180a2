package accepted

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// The file has these buckets; an id is the exchange's id as text, a sequence 8 bytes.
//
//	heads       id → record
//	bodies      id → request body, until the exchange has ended
//	answers     id → response body, once it has
//	open        sequence → id, of those that have not ended
//	scopes      scope → id of the newest exchange that answers for the key
//	expiries    expiry, id → what the exchange counts: the first goes first, also to make room
//	account     "bytes" → what all exchanges and what the ended ones count, two integers
//	quarantine  id → what could not be read
//
// With a key, what the application sent and what it will read is sealed: see seal.go.
func bucketHeads() []byte      { return []byte("heads") }
func bucketBodies() []byte     { return []byte("bodies") }
func bucketAnswers() []byte    { return []byte("answers") }
func bucketOpen() []byte       { return []byte("open") }
func bucketScopes() []byte     { return []byte("scopes") }
func bucketExpiries() []byte   { return []byte("expiries") }
func bucketAccount() []byte    { return []byte("account") }
func bucketQuarantine() []byte { return []byte("quarantine") }

func buckets() [][]byte {
	return [][]byte{bucketHeads(), bucketBodies(), bucketAnswers(), bucketOpen(), bucketScopes(), bucketExpiries(), bucketAccount(), bucketQuarantine()}
}

// account is what exchanges count, in bytes.
type account struct{ bytes, ended int64 }

func readAccount(tx *bbolt.Tx) (a account) {
	if value := tx.Bucket(bucketAccount()).Get([]byte("bytes")); len(value) == 16 {
		a = account{int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:]))}
	}
	return a
}

// transaction is a write transaction on the store's buckets.
type transaction struct {
	*bbolt.Tx
	account
}

// do runs op in a transaction that is on disk when it returns. op may run more than once.
func (s *Store) do(ctx context.Context, weight int, op func(*transaction) error) error {
	return s.db.DoWeighed(ctx, weight, func(tx *bbolt.Tx) error {
		t := &transaction{tx, readAccount(tx)}
		before := t.account
		if err := op(t); err != nil {
			return err
		}
		if t.account == before {
			return nil
		}
		return t.writeAccount()
	})
}

func (t *transaction) writeAccount() error {
	return t.Bucket(bucketAccount()).Put([]byte("bytes"), append(integer(uint64(t.bytes)), integer(uint64(t.ended))...))
}

func (s *Store) account() (a account) {
	_ = s.db.View(func(tx *bbolt.Tx) error { a = readAccount(tx); return nil })
	return a
}

// sizeOf is what an exchange counts against the bound.
func (t *transaction) sizeOf(id []byte) int64 {
	return int64(len(t.Bucket(bucketHeads()).Get(id)) + len(t.Bucket(bucketBodies()).Get(id)) + len(t.Bucket(bucketAnswers()).Get(id)))
}

// makeRoom removes ended exchanges, those first whose time ends first, until size more fits. It reports whether it does.
func (t *transaction) makeRoom(size, limit int64) (bool, error) {
	if t.bytes-t.ended+size > limit {
		return false, nil
	}
	for t.bytes+size > limit {
		key, _ := t.Bucket(bucketExpiries()).Cursor().First()
		if key == nil {
			return false, nil
		}
		if err := t.removeEnded(bytes.Clone(key)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// removeEnded deletes the ended exchange of an entry of expiries.
func (t *transaction) removeEnded(key []byte) error {
	id, size := key[8:], int64(0)
	if value := t.Bucket(bucketExpiries()).Get(key); len(value) == 8 {
		size = int64(binary.BigEndian.Uint64(value))
	}
	t.bytes, t.ended = t.bytes-size, t.ended-size
	if r, err := decodeRecord(t.Bucket(bucketHeads()).Get(id)); err == nil {
		if err := t.freeScope(r.Scope, id); err != nil {
			return err
		}
	}
	for _, name := range [][]byte{bucketHeads(), bucketAnswers()} {
		if err := t.Bucket(name).Delete(id); err != nil {
			return err
		}
	}
	return t.Bucket(bucketExpiries()).Delete(key)
}

// freeScope forgets that the exchange answers for its key, unless a later one does by now.
func (t *transaction) freeScope(scope string, id []byte) error {
	scopes := t.Bucket(bucketScopes())
	if !bytes.Equal(scopes.Get([]byte(scope)), id) {
		return nil
	}
	return scopes.Delete([]byte(scope))
}

func putBody(b *bbolt.Bucket, id, body []byte) error {
	if len(body) == 0 {
		return b.Delete(id)
	}
	return b.Put(id, body)
}

// body returns a copy of a body, and whether it is the one that was written.
func body(b *bbolt.Bucket, id []byte, want digest) ([]byte, bool) {
	found := b.Get(id)
	return bytes.Clone(found), digestOf(found) == want
}

func integer(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func expiryKey(at time.Time, id []byte) []byte { return append(integer(uint64(at.UnixNano())), id...) }
