package accepted

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Get reads an exchange, without the body of its request; ErrNotFound when there is none, or its time is over, or it
// cannot be read.
func (s *Store) Get(id string) (x *Exchange, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		r, err := read(tx, []byte(id))
		if err != nil {
			return ErrNotFound
		}
		if r.Result != nil && !s.config.Now().Before(r.Result.Expires) {
			return ErrNotFound
		}
		if x, err = s.exchange(id, r); err != nil {
			return ErrNotFound
		}
		if r.Result != nil {
			content, whole := body(tx.Bucket(bucketAnswers()), []byte(id), r.Result.Body)
			s.answer(x, r.Result, content, whole)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("read an accepted exchange: %w", err)
	}
	return x, err
}

// expireBatch bounds what one removal adds to a commit that others share.
const expireBatch = 128

// Expire removes the exchanges whose end has been kept for its time, in small pieces, and returns how many.
func (s *Store) Expire(ctx context.Context) (removed int, err error) {
	for {
		due, err := s.expired(s.config.Now())
		if err != nil || len(due) == 0 {
			return removed, err
		}
		err = s.do(ctx, 0, func(t *transaction) error {
			for _, key := range due {
				if t.Bucket(bucketExpiries()).Get(key) == nil { // made way meanwhile
					continue
				}
				if err := t.removeEnded(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return removed, fmt.Errorf("remove accepted exchanges: %w", err)
		}
		removed += len(due)
	}
}

func (s *Store) expired(now time.Time) (keys [][]byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketExpiries()).Cursor()
		for key, _ := cursor.First(); key != nil && len(keys) < expireBatch; key, _ = cursor.Next() {
			if int64(binary.BigEndian.Uint64(key)) > now.UnixNano() {
				break
			}
			keys = append(keys, bytes.Clone(key))
		}
		return nil
	})
	return keys, err
}
