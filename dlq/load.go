package dlq

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// load creates the buckets, counts the letters and moves damaged ones aside. It reads heads only: a damaged body is
// found, and moved aside, when somebody reads it.
func (s *Spool) load() error {
	ctx := context.Background()
	if err := s.db.Do(ctx, createBuckets); err != nil {
		return err
	}
	var counted change
	var damaged [][]byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		counted.quarantined = countQuarantined(tx)
		return tx.Bucket(bucketHeads()).ForEach(func(id, head []byte) error {
			summary, _, ok := decodeSummary(id, head)
			if !ok {
				damaged = append(damaged, append([]byte(nil), id...))
				return nil
			}
			counted.added = append(counted.added, summary)
			if len(counted.added) == 1024 { // a large spool's summaries are not all held at once
				s.tally.apply(counted)
				counted = change{}
				s.db.Trim(tx)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	s.tally.apply(counted)
	if err := s.setAccount(ctx); err != nil {
		return err
	}
	for _, id := range damaged {
		if err := s.quarantine(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketHeads(), bucketBodies(), bucketScopes(), bucketOpen(), bucketClosed(),
		bucketAccount(), bucketQuarantine()} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// setAccount makes the account on disk what was counted, should they differ: what went to quarantine counts no more.
func (s *Spool) setAccount(ctx context.Context) error {
	return s.db.Do(ctx, func(tx *bbolt.Tx) error {
		t := begin(tx)
		t.bytes, t.closedBytes = s.tally.weight()
		return t.account()
	})
}

// Stats returns the present numbers. It is cheap enough for every scrape.
func (s *Spool) Stats() Stats {
	stats := s.tally.snapshot()
	stats.MaxBytes = s.config.MaxBytes
	_ = s.db.View(func(tx *bbolt.Tx) error { // closed: no oldest letter
		if _, created := tx.Bucket(bucketOpen()).Cursor().First(); len(created) == 8 {
			stats.Oldest = time.Unix(0, int64(binary.BigEndian.Uint64(created)))
		}
		return nil
	})
	return stats
}

func countQuarantined(tx *bbolt.Tx) (n int) {
	_ = tx.Bucket(bucketQuarantine()).ForEach(func(key, _ []byte) error {
		if isQuarantinedHead(key) {
			n++
		}
		return nil
	})
	return n
}

func isQuarantinedHead(key []byte) bool {
	return len(key) > 5 && string(key[len(key)-5:]) == "\x00head"
}

// quarantine moves a letter that cannot be read aside, as it is, so that somebody may still make sense of it. A letter
// that can be read after all is left alone.
func (s *Spool) quarantine(ctx context.Context, id []byte) error {
	var change change
	err := s.db.Do(ctx, func(tx *bbolt.Tx) error {
		t := begin(tx)
		head, body := t.letters.Get(id), t.bodies.Get(id)
		if head == nil {
			return nil
		}
		if _, err := decodeLetter(id, head, body, true); err == nil {
			return nil
		}
		if err := t.setAside(tx.Bucket(bucketQuarantine()), id, head, body); err != nil {
			return err
		}
		t.change.quarantined = 1
		change = t.change
		return t.account()
	})
	if err != nil {
		return fmt.Errorf("move a damaged letter of the spool aside: %w", err)
	}
	s.tally.apply(change)
	return nil
}

func (t *transaction) setAside(quarantine *bbolt.Bucket, id, head, body []byte) error {
	if err := quarantine.Put([]byte(string(id)+"\x00head"), append([]byte(nil), head...)); err != nil {
		return err
	}
	if body != nil {
		if err := quarantine.Put([]byte(string(id)+"\x00body"), append([]byte(nil), body...)); err != nil {
			return err
		}
	}
	if s, _, ok := decodeSummary(id, head); ok {
		return t.remove(id, s)
	}
	for _, b := range []*bbolt.Bucket{t.letters, t.bodies, t.open, t.closed} { // its entry in scopes is dropped when met
		if err := b.Delete(id); err != nil {
			return err
		}
	}
	return nil
}
