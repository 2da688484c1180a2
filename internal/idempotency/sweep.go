package idempotency

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// sweepBatch bounds what one removal adds to a commit that callers share: some 128 random pages.
const sweepBatch = 128

// Sweep removes expired records, in small batches between which callers' steps go on, and returns how many. Their
// space in the file is used again.
func (e *Embedded) Sweep(ctx context.Context) (removed int, err error) {
	now := e.options.Now()
	if err := e.sweepClaims(ctx, now); err != nil {
		return 0, fmt.Errorf("sweep the key store: %w", err)
	}
	for {
		expired, err := e.expired(now)
		if err == nil && len(expired) > 0 {
			err = e.db.Do(ctx, func(tx *bbolt.Tx) error { return remove(tx, expired) })
		}
		if err != nil {
			return removed, fmt.Errorf("sweep the key store: %w", err)
		}
		removed += len(expired)
		e.swept.Add(int64(len(expired)))
		if len(expired) < sweepBatch {
			return removed, nil
		}
	}
}

// sweepUntilStopped sweeps now and then. A failure is left to the next time: whoever uses the store learns of it.
func (e *Embedded) sweepUntilStopped() {
	ticker := time.NewTicker(e.options.SweepEvery)
	defer ticker.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-e.stop:
			return
		case <-ticker.C:
			_, _ = e.Sweep(ctx)
		}
	}
}

// expired returns copies of the first keys of the expiries whose time has come.
func (e *Embedded) expired(now time.Time) (keys [][]byte, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketExpiries()).Cursor()
		for key, _ := cursor.First(); key != nil && len(keys) < sweepBatch; key, _ = cursor.Next() {
			if len(key) < 8 || int64(binary.BigEndian.Uint64(key)) > now.UnixNano() {
				break
			}
			keys = append(keys, append([]byte(nil), key...))
		}
		return nil
	})
	return keys, err
}

// remove deletes expiries and the records they belong to. A key that was claimed and settled again since has another
// expiry and stays; a damaged record stays too, because it must never look like an absent one.
func remove(tx *bbolt.Tx, expired [][]byte) error {
	keys, expiries := tx.Bucket(bucketKeys()), tx.Bucket(bucketExpiries())
	for _, key := range expired {
		scope := key[8:]
		if value := keys.Get(scope); value != nil {
			rec := decodeRecord(value)
			if !rec.damaged && rec.until.UnixNano() <= int64(binary.BigEndian.Uint64(key)) {
				if err := keys.Delete(scope); err != nil {
					return err
				}
			}
		}
		if err := expiries.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// sweepClaims forgets claims of this process whose lease ran out so long ago that even the doubt about them expired.
func (e *Embedded) sweepClaims(ctx context.Context, now time.Time) error {
	for i := range e.shards {
		s := &e.shards[i]
		lost := make(map[Scope]Owner)
		s.mu.Lock()
		for scope, c := range s.claims {
			if !c.busy && !now.Before(c.until.Add(e.options.UnknownTTL)) {
				lost[scope] = c.owner
			}
		}
		s.mu.Unlock()
		for scope, owner := range lost {
			if err := e.settle(scope, owner, func(*claim) error { return e.dropClaim(ctx, scope) }); err != nil {
				return err
			}
		}
	}
	return nil
}
