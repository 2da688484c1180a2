package accepted

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"
)

// load creates the buckets and queues what has not ended. It writes nothing when there is nothing to repair: a full
// disk must not keep a sidecar from starting.
func (s *Store) load(ctx context.Context) error {
	if err := s.createBuckets(ctx); err != nil {
		return err
	}
	if s.config.Sharing.Client != nil {
		s.replicas = newReplicas(s, s.config.Sharing, s.identity(ctx))
	}
	damaged, err := s.enqueue()
	if err != nil || len(damaged) == 0 {
		return err
	}
	s.damaged = len(damaged)
	return s.do(ctx, 0, func(t *transaction) error {
		for _, d := range damaged {
			if err := t.setAside(d.id, d.sequence); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) createBuckets(ctx context.Context) error {
	complete := true
	err := s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			complete = complete && tx.Bucket(name) != nil
		}
		return nil
	})
	if err != nil || complete {
		return err
	}
	return s.db.Do(ctx, createBuckets)
}

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// place is where an open exchange is found.
type place struct{ id, sequence []byte }

// enqueue queues the open exchanges, and returns those that cannot be read.
func (s *Store) enqueue() (damaged []place, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketOpen()).ForEach(func(sequence, id []byte) error {
			if r, err := read(tx, id); err == nil {
				s.enter(newEntry(string(id), r), maybeCopied)
			} else {
				damaged = append(damaged, place{bytes.Clone(id), bytes.Clone(sequence)})
			}
			return nil
		})
	})
	return damaged, err
}

// identity is what this store is called among replicas: the same over restarts, if the disk takes it.
func (s *Store) identity(ctx context.Context) string {
	name, id := []byte("sidecar"), []byte(nil)
	_ = s.db.View(func(tx *bbolt.Tx) error { id = bytes.Clone(tx.Bucket(bucketAccount()).Get(name)); return nil })
	if len(id) == 0 {
		id = []byte(NewID())
		_ = s.db.Do(ctx, func(tx *bbolt.Tx) error { return tx.Bucket(bucketAccount()).Put(name, id) }) // else it is another one next time
	}
	return string(id)
}
