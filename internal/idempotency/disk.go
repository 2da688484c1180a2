package idempotency

import (
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// The file has three buckets.
//
//	claims    scope → record            keys in flight: few, read once at open
//	keys      scope → record            finished and unknown keys: small, so that the tree stays small
//	expiries  expiry, scope → outcome   outcomes in the order in which they go: written at one end, removed at the other
//
// Keys are random, and a bbolt page is written whole: outcomes of some KiB beside random keys would be rewritten for
// each neighbour that comes. An unknown key has an empty outcome, so that it is swept like the others.
func bucketClaims() []byte   { return []byte("claims") }
func bucketKeys() []byte     { return []byte("keys") }
func bucketExpiries() []byte { return []byte("expiries") }

func expiryKey(until time.Time, scope Scope) []byte {
	key := make([]byte, 0, 8+len(scope))
	key = binary.BigEndian.AppendUint64(key, uint64(until.UnixNano()))
	return append(key, scope[:]...)
}

// load reads a key's record, nil when there is none or it has expired, and the outcome of a finished one. A damaged
// record or outcome makes the key unknown.
func (e *Embedded) load(scope Scope, now time.Time) (rec *record, outcome *Outcome, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(bucketKeys()).Get(scope[:])
		if value == nil {
			return nil
		}
		found := decodeRecord(value)
		switch {
		case found.damaged:
			e.corrupt.Add(1)
		case !now.Before(found.until):
			return nil
		case found.state == stateFinished:
			var damage error
			if outcome, damage = decodeOutcome(tx.Bucket(bucketExpiries()).Get(expiryKey(found.until, scope))); damage != nil {
				e.corrupt.Add(1)
				found.state = stateUnknown
			}
		}
		rec = &found
		return nil
	})
	return rec, outcome, err
}

// storeClaim writes a claim and forgets what was known of the key.
func (e *Embedded) storeClaim(ctx context.Context, scope Scope, rec record) error {
	value := rec.encode()
	return e.db.Do(ctx, func(tx *bbolt.Tx) error {
		if err := tx.Bucket(bucketKeys()).Delete(scope[:]); err != nil {
			return err
		}
		return tx.Bucket(bucketClaims()).Put(scope[:], value)
	})
}

func (e *Embedded) dropClaim(ctx context.Context, scope Scope) error {
	return e.db.Do(ctx, func(tx *bbolt.Tx) error { return tx.Bucket(bucketClaims()).Delete(scope[:]) })
}

// storeRecord replaces a claim by a finished or unknown record.
func (e *Embedded) storeRecord(ctx context.Context, scope Scope, rec record, outcome []byte) error {
	value := rec.encode()
	return e.db.DoWeighed(ctx, len(outcome), func(tx *bbolt.Tx) error {
		return putRecord(tx, scope, rec.until, value, outcome)
	})
}

func putRecord(tx *bbolt.Tx, scope Scope, until time.Time, value, outcome []byte) error {
	if err := tx.Bucket(bucketClaims()).Delete(scope[:]); err != nil {
		return err
	}
	if err := tx.Bucket(bucketKeys()).Put(scope[:], value); err != nil {
		return err
	}
	expiries := tx.Bucket(bucketExpiries())
	expiries.FillPercent = 0.9 // keys come nearly in order: a half-empty page would stay half empty
	return expiries.Put(expiryKey(until, scope), outcome)
}

// recover turns the claims of an earlier process into unknown keys. On a disk that takes no write, as when it is full,
// they become claims whose lease has run out, which means the same for as long as this process lives.
func (e *Embedded) recover() error {
	orphans, complete, err := e.orphans()
	if err != nil || complete && len(orphans) == 0 {
		return err
	}
	if err = e.settleOrphans(); err == nil || !complete {
		return err
	}
	now := e.options.Now()
	for scope, value := range orphans {
		rec := decodeRecord(value)
		rec.until = now
		e.shard(scope).claims[scope] = &claim{record: rec, done: make(chan struct{})}
	}
	return nil
}

// orphans reads the claims of an earlier process; complete is false when the file still lacks buckets.
func (e *Embedded) orphans() (claims map[Scope][]byte, complete bool, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		complete = true
		for _, name := range buckets() {
			complete = complete && tx.Bucket(name) != nil
		}
		if complete {
			claims = claimsOf(tx)
		}
		return nil
	})
	return claims, complete, err
}

func buckets() [][]byte { return [][]byte{bucketClaims(), bucketKeys(), bucketExpiries()} }

// settleOrphans creates the buckets and writes every claim as an unknown key.
func (e *Embedded) settleOrphans() error {
	until := e.options.Now().Add(e.options.UnknownTTL)
	return e.db.Do(context.Background(), func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		var damaged int64
		for key, value := range claimsOf(tx) {
			rec := decodeRecord(value)
			if rec.damaged {
				damaged++ // stays as it is, and is found damaged again by whoever asks for the key
			} else {
				rec.state, rec.until = stateUnknown, until
				value = rec.encode()
			}
			if err := putRecord(tx, key, until, value, nil); err != nil {
				return err
			}
		}
		e.corrupt.Store(damaged)
		return nil
	})
}

// claimsOf copies the claims: a bbolt cursor must not be moved while its bucket changes.
func claimsOf(tx *bbolt.Tx) map[Scope][]byte {
	claims := make(map[Scope][]byte)
	cursor := tx.Bucket(bucketClaims()).Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		var scope Scope
		if copy(scope[:], key) == len(key) {
			claims[scope] = append([]byte(nil), value...)
		}
	}
	return claims
}
