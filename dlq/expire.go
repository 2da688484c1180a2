package dlq

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
)

// expireBatch bounds what one removal adds to a commit that callers share.
const expireBatch = 128

// Expire removes the letters, open ones too, that are older than Config.Retention at now, and returns their ids for
// the log: a letter that nobody took care of must not go without a word. After an error the ids of those removed
// before it are returned with it.
func (s *Spool) Expire(ctx context.Context, now time.Time) (ids []string, err error) {
	if s.config.Retention < 0 {
		return nil, nil
	}
	cutoff := now.Add(-s.config.Retention)
	var after []byte
	for end := false; !end; {
		var old []string
		if old, after, end, err = s.older(cutoff, after); err != nil {
			return ids, err
		}
		if len(old) == 0 {
			continue
		}
		var removed []string
		err = s.change(ctx, func(t *transaction) (verdict, err error) {
			removed, err = t.expire(old, cutoff)
			return nil, err
		})
		if err != nil {
			return ids, err
		}
		ids = append(ids, removed...)
	}
	return ids, nil
}

// slack is how far the clock that made an id and Metadata.Created may differ.
const slack = 24 * time.Hour

// older finds letters created before cutoff. Ids sort by time, so that the walk ends soon after the first letter
// that is too young.
func (s *Spool) older(cutoff time.Time, after []byte) (ids []string, last []byte, end bool, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketHeads()).Cursor()
		id, head := seekAfter(cursor, after)
		for seen := 0; id != nil && !madeAfter(id, cutoff.Add(slack)); id, head = cursor.Next() {
			if seen++; seen > pieceSeen || len(ids) == expireBatch {
				return nil
			}
			last = append(last[:0], id...)
			if summary, ok := decodeSummary(id, head); ok && summary.created.Before(cutoff) {
				ids = append(ids, string(id))
			}
		}
		end = true
		return nil
	})
	if err != nil {
		err = fmt.Errorf("read the spool: %w", err)
	}
	return ids, last, end, err
}

// madeAfter is false for an id that is not a UUIDv7.
func madeAfter(id []byte, t time.Time) bool {
	u, err := uuid.ParseBytes(id)
	if err != nil || u.Version() != 7 {
		return false
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).After(t)
}

// expire removes those of the letters that are still as old: the others were changed since.
func (t *transaction) expire(ids []string, cutoff time.Time) (removed []string, err error) {
	for _, id := range ids {
		s, ok := decodeSummary([]byte(id), t.letters.Get([]byte(id)))
		if !ok || !s.created.Before(cutoff) {
			continue
		}
		if err := t.remove([]byte(id), s); err != nil {
			return nil, err
		}
		removed = append(removed, id)
	}
	t.change.expired = len(removed)
	return removed, nil
}
