package dlq

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// load creates the buckets, counts the letters, sets the indexes right and moves damaged letters aside. It reads heads
// only: a damaged body is found, and moved aside, when somebody reads it.
func (s *Spool) load(ctx context.Context) error {
	if err := s.db.Do(ctx, createBuckets); err != nil {
		return err
	}
	found, err := s.recount(ctx)
	if err != nil {
		return err
	}
	for _, id := range found.damaged {
		if err := s.quarantine(ctx, id); err != nil {
			return err
		}
	}
	if !found.indexed {
		if err := s.reindex(ctx); err != nil {
			return err
		}
		if found, err = s.recount(ctx); err != nil {
			return err
		}
	}
	if s.config.Outbox && found.unqueued {
		if err := s.fillOutbox(ctx); err != nil {
			return err
		}
	}
	if s.Stats().Outbox > 0 {
		s.committed(change{queued: 1, unqueued: 1}) // whoever forwards has something to do
	}
	return nil
}

func createBuckets(tx *bbolt.Tx) error {
	if old := []byte("scopes"); tx.Bucket(old) != nil { // an index of earlier versions
		if err := tx.DeleteBucket(old); err != nil {
			return err
		}
	}
	for _, name := range buckets() {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// alone is more than what shares a commit.
const alone = 1 << 40

// findings are what a recount has met.
type findings struct {
	damaged  [][]byte
	indexed  bool // every letter has its entries in the indexes, and nothing else is there
	unqueued bool // a dead letter does not wait in the outbox
}

// recount counts the letters as they are on disk. It has a commit for itself: what came before it has been counted by
// then, what comes after it not yet.
func (s *Spool) recount(ctx context.Context) (f findings, err error) {
	err = s.db.DoWeighed(ctx, alone, func(tx *bbolt.Tx) error {
		t, counted := s.begin(tx), newTally(s.tally.seed)
		counted.stats.Quarantined = countQuarantined(tx)
		var n census
		f = findings{}
		err := t.letters.ForEach(func(id, value []byte) error {
			summary, ok := decodeSummary(id, value)
			if !ok {
				f.damaged = append(f.damaged, bytes.Clone(id))
				return nil
			}
			counted.count(summary, 1)
			f.unqueued = n.add(t, id, summary) || f.unqueued
			if n.letters%1024 == 0 {
				s.db.Trim(tx)
			}
			return nil
		})
		if err != nil {
			return err
		}
		counted.stats.Outbox, f.indexed = n.compare(t)
		t.bytes, t.yielding = counted.stats.Bytes, counted.yielding
		tx.OnCommit(func() { s.tally.recounted(counted) })
		return t.account()
	})
	return f, err
}

// recountIfDoubtful follows a commit that succeeded.
func (s *Spool) recountIfDoubtful() {
	if !s.doubtful.CompareAndSwap(true, false) {
		return
	}
	if _, err := s.recount(context.Background()); err != nil {
		s.doubtful.Store(true)
	}
}

// Stats returns the present numbers. It is cheap enough for every scrape.
func (s *Spool) Stats() Stats {
	stats := s.tally.snapshot()
	stats.MaxBytes = s.config.MaxBytes
	_ = s.db.View(func(tx *bbolt.Tx) error { // closed: no oldest letter
		_, created := tx.Bucket(bucketOpen()).Cursor().First()
		stats.Oldest = timeAt(created)
		_, since := tx.Bucket(bucketOutbox()).Cursor().First()
		stats.OutboxOldest = timeAt(since)
		return nil
	})
	return stats
}

// timeAt reads the time that a value begins with; zero when there is none.
func timeAt(value []byte) time.Time {
	if len(value) < 8 {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(value)))
}
