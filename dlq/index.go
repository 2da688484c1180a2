package dlq

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"
)

// indexBatch bounds what one commit of reindex, or of filling the outbox, holds in memory.
const indexBatch = 4096

// A census counts what the indexes should hold.
type census struct {
	letters, open, closed, forwarded, waiting int
	astray                                    bool // a letter lacks an entry
}

// add looks for the entries of one letter, and reports whether it is dead and does not wait in the outbox.
func (n *census) add(t *transaction, id []byte, s summary) (unqueued bool) {
	n.letters++
	if waits := t.waiting.Get(id) != nil; waits {
		n.waiting++
	} else {
		unqueued = s.state == Dead
	}
	if !s.state.Open() {
		n.closed++
		n.expect(t.closed, id)
		return unqueued
	}
	n.open++
	n.expect(t.open, id)
	if s.state == Forwarded {
		n.forwarded++
		n.expect(t.forwarded, id)
	}
	return unqueued
}

func (n *census) expect(index *bbolt.Bucket, key []byte) {
	found, _ := index.Cursor().Seek(key)
	n.astray = n.astray || !bytes.Equal(found, key)
}

// compare reports whether the indexes hold what was counted and nothing else, and how many wait in the outbox.
func (n *census) compare(t *transaction) (outbox int, same bool) {
	same = !n.astray && n.open == count(t.open) && n.closed == count(t.closed) &&
		n.forwarded == count(t.forwarded) && n.waiting == count(t.waiting)
	_ = t.outbox.ForEach(func(key, value []byte) error {
		outbox++
		same = same && bytes.Equal(t.waiting.Get(outboxID(value)), key)
		return nil
	})
	return outbox, same && outbox == n.waiting
}

func count(b *bbolt.Bucket) (n int) {
	_ = b.ForEach(func(_, _ []byte) error { n++; return nil })
	return n
}

// reindex makes the indexes anew from the letters and the outbox: after a salvage, for a file of an earlier version,
// or when an entry was damaged. A crash in its middle leaves indexes that the next open finds wanting.
func (s *Spool) reindex(ctx context.Context) error {
	err := s.db.Do(ctx, func(tx *bbolt.Tx) error {
		for _, name := range indexes() {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		return createBuckets(tx)
	})
	if err != nil {
		return err
	}
	err = s.walk(ctx, bucketHeads(), func(t *transaction, id, value []byte) error {
		if summary, ok := decodeSummary(id, value); ok {
			return t.index(id, summary)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.walk(ctx, bucketOutbox(), func(t *transaction, key, value []byte) error {
		id := outboxID(value)
		if sequence(key) == 0 || t.letters.Get(id) == nil || t.waiting.Get(id) != nil {
			return t.outbox.Delete(key)
		}
		return t.waiting.Put(id, key)
	})
}

// fillOutbox queues the dead letters that do not wait, in the order of ids: they were kept without an outbox.
func (s *Spool) fillOutbox(ctx context.Context) error {
	return s.walk(ctx, bucketHeads(), func(t *transaction, id, value []byte) error {
		summary, ok := decodeSummary(id, value)
		if !ok || summary.state != Dead || t.waiting.Get(id) != nil {
			return nil
		}
		return t.queue(id)
	})
}

type visitor func(t *transaction, key, value []byte) error

// walk hands every entry of a bucket to visit, in pieces of one commit each. visit may delete the entry.
func (s *Spool) walk(ctx context.Context, bucket []byte, visit visitor) error {
	var after []byte
	for end := false; !end; {
		var last []byte
		_, err := s.do(ctx, alone, func(t *transaction) (verdict, err error) {
			last, end, err = t.piece(bucket, after, visit)
			return nil, err
		})
		if err != nil {
			return err
		}
		after = last
	}
	return nil
}

func (t *transaction) piece(bucket, after []byte, visit visitor) (last []byte, end bool, err error) {
	type entry struct{ key, value []byte }
	var entries []entry // a cursor must not be moved while its bucket changes
	cursor := t.tx.Bucket(bucket).Cursor()
	for key, value := seekAfter(cursor, after); key != nil && len(entries) < indexBatch; key, value = cursor.Next() {
		entries = append(entries, entry{bytes.Clone(key), value})
	}
	for _, e := range entries {
		if err := visit(t, e.key, e.value); err != nil {
			return nil, false, err
		}
		last = e.key
	}
	return last, len(entries) < indexBatch, nil
}
