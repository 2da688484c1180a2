package accepted

import (
	"bytes"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

// salvage replaces a damaged file by one with what can be read of it. Of a file of which nothing can be read an empty
// one remains; the damaged one is kept beside it.
func salvage(path string, now time.Time) error {
	aside, err := groupcommit.Salvage(path, now, rescue)
	if aside == "" {
		return err
	}
	return nil
}

// rescue copies records, then the bodies that belong to them, each judged by its own checksum, and makes the other
// buckets anew. An exchange whose body is missing is found damaged when it is to be sent.
func rescue(from *pages.File, to *bbolt.DB) error {
	if err := to.Update(createBuckets); err != nil {
		return err
	}
	for _, visit := range []func(tx *bbolt.Tx, bucket string, key, value []byte) error{rescueRecord, rescueBody} {
		err := from.Each(func(bucket string, key, value []byte) error {
			return to.Update(func(tx *bbolt.Tx) error { return visit(tx, bucket, key, value) })
		})
		if err != nil {
			return err
		}
	}
	return to.Update(reindex)
}

// rescueRecord copies a record. One that nothing leads to any more may be of long ago, and the exchange may have been
// sent since: the newest that is found counts, and is doubtful.
func rescueRecord(tx *bbolt.Tx, bucket string, key, value []byte) error {
	r, err := decodeRecord(value)
	if err != nil || len(key) == 0 {
		return nil
	}
	heads := tx.Bucket(bucketHeads())
	if found, err := decodeRecord(heads.Get(key)); err == nil && !r.Updated.After(found.Updated) {
		return nil
	}
	if bucket != string(bucketHeads()) && r.Result == nil {
		if r.Doubtful = true; r.Since.IsZero() {
			r.Since = r.Accepted
		}
		if value, err = r.encode(); err != nil {
			return err
		}
	}
	return heads.Put(bytes.Clone(key), bytes.Clone(value))
}

// rescueBody copies a value that is the body of a record.
func rescueBody(tx *bbolt.Tx, _ string, key, value []byte) error {
	if home := homeOfBody(tx, key, value); home != nil {
		return tx.Bucket(home).Put(bytes.Clone(key), bytes.Clone(value))
	}
	return nil
}

// homeOfBody is the bucket of a value that is the body of a record that was found, else nil.
func homeOfBody(tx *bbolt.Tx, key, value []byte) []byte {
	r, err := decodeRecord(tx.Bucket(bucketHeads()).Get(key))
	switch {
	case err != nil || len(value) == 0:
		return nil
	case r.Body == digestOf(value):
		return bucketBodies()
	case r.Result != nil && r.Result.Body == digestOf(value):
		return bucketAnswers()
	}
	return nil
}

// reindex makes open, scopes, expiries and account of the records. Of two with the same scope the later one has it.
func reindex(tx *bbolt.Tx) error {
	t := &transaction{Tx: tx}
	var last uint64
	err := tx.Bucket(bucketHeads()).ForEach(func(id, value []byte) error {
		r, err := decodeRecord(value)
		if err != nil {
			return nil
		}
		size := t.sizeOf(id)
		t.bytes, last = t.bytes+size, max(last, r.Sequence)
		if r.Scope != "" && (r.Result == nil || r.Result.Held) {
			if err := tx.Bucket(bucketScopes()).Put([]byte(r.Scope), id); err != nil {
				return err
			}
		}
		if r.Result == nil {
			return tx.Bucket(bucketOpen()).Put(integer(r.Sequence), id)
		}
		t.ended += size
		return tx.Bucket(bucketExpiries()).Put(expiryKey(r.Result.Expires, id), integer(uint64(size)))
	})
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketOpen()).SetSequence(last); err != nil {
		return err
	}
	return t.writeAccount()
}
