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

// rescue copies records and bodies, each judged by its own checksum, and makes the other buckets anew. An exchange
// whose body is missing is found damaged when it is to be sent.
func rescue(from *pages.File, to *bbolt.DB) error {
	if err := to.Update(createBuckets); err != nil {
		return err
	}
	err := from.Each(func(bucket string, key, value []byte) error {
		switch {
		case bucket == string(bucketBodies()), bucket == string(bucketAnswers()), bucket == string(bucketQuarantine()):
		case decodes(value):
			bucket = string(bucketHeads())
		default:
			return nil
		}
		return to.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(bytes.Clone(key), bytes.Clone(value)) })
	})
	if err != nil {
		return err
	}
	return to.Update(reindex)
}

func decodes(value []byte) bool {
	_, err := decodeRecord(value)
	return err == nil
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
