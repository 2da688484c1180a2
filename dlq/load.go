package dlq

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
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
		if !found.astray {
			if err := s.setAsideHeadless(ctx); err != nil {
				return err
			}
		}
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
		s.tellForwarder()
	}
	return nil
}

func createBuckets(tx *bbolt.Tx) error {
	if err := checkNames(tx); err != nil {
		return err
	}
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
	return raiseSequence(tx)
}

// checkNames reports a damaged name of a bucket: one that nobody knows is there while one is missing. A new bucket would
// be made in its place, and what is in the other forgotten.
func checkNames(tx *bbolt.Tx) error {
	found, unknown, journal := 0, "", false
	err := tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if known(name) {
			found++
		} else if string(name) == groupcommit.JournalBucket {
			journal = true
		} else if string(name) != "scopes" {
			unknown = string(name)
		}
		return nil
	})
	if err == nil && unknown != "" && (found < len(buckets()) || !journal) {
		err = fmt.Errorf("%w: a bucket has the name %q", groupcommit.ErrDamaged, unknown)
	}
	return err
}

func known(name []byte) bool {
	return slices.ContainsFunc(buckets(), func(b []byte) bool { return bytes.Equal(b, name) })
}

// raiseSequence sees to it that nothing is put in the place of what waits in the outbox.
func raiseSequence(tx *bbolt.Tx) error {
	outbox := tx.Bucket(bucketOutbox())
	last, _ := outbox.Cursor().Last()
	if sequence(last) <= outbox.Sequence() {
		return nil
	}
	return outbox.SetSequence(sequence(last))
}

// alone is more than what shares a commit.
const alone = 1 << 40

// findings are what a recount has met.
type findings struct {
	damaged  [][]byte
	astray   bool // a letter lacks an entry in the indexes
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
		f.astray = n.astray
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
	var ahead string // the first of the journal, which may land in between
	ahead, stats.Oldest, stats.OutboxOldest = s.tally.oldestAhead()
	_ = s.db.Peek(func(tx *bbolt.Tx) error { // closed: no oldest letter
		if id, created := tx.Bucket(bucketOpen()).Cursor().First(); id != nil && (ahead == "" || string(id) < ahead) {
			stats.Oldest = timeAt(created)
		}
		if key, since := tx.Bucket(bucketOutbox()).Cursor().First(); key != nil {
			stats.OutboxOldest = timeAt(since)
		}
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
