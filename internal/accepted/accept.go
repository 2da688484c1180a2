package accepted

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"go.etcd.io/bbolt"
)

// Accept keeps an exchange; when it returns one, that is on disk. A zero Accepted means now.
//
// An exchange of the same scope that has not ended, or whose outcome its key stands for, is returned in place of x when
// it is the same request, else the error is ErrReused. When there is no room, ended exchanges make way, those first
// whose time ends first; ErrFull when that is not enough.
func (s *Store) Accept(ctx context.Context, x *Exchange) (*Exchange, error) {
	kept := *x
	if kept.State = Waiting; kept.Accepted.IsZero() {
		kept.Accepted = s.config.Now()
	}
	kept.Updated = kept.Accepted
	found, err := s.accept(ctx, &kept)
	s.tried(err)
	return found, err
}

func (s *Store) accept(ctx context.Context, x *Exchange) (*Exchange, error) {
	r := recordOf(x)
	body, err := s.sealRequest(x.ID, r, x.Body)
	if err != nil {
		return nil, err
	}
	value, err := r.encode()
	if err != nil {
		return nil, err
	}
	size := int64(len(value)+len(body)) + 20 // the sequence is not in it yet
	if a := s.account(); a.bytes-a.ended+size > s.config.MaxBytes {
		return nil, ErrFull // known without a commit: a full store must not cost an fsync per refused call
	}
	id := []byte(x.ID)
	var found *Exchange
	var verdict error
	err = s.do(ctx, int(size), func(t *transaction) (err error) {
		if found, verdict = s.sameScope(t, x); found != nil || verdict != nil {
			return nil
		}
		room, err := t.makeRoom(size, s.config.MaxBytes)
		if err != nil {
			return err
		}
		if !room {
			verdict = ErrFull
			return nil
		}
		return t.insert(id, r, body)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("accept an exchange: %w", err)
	case verdict != nil:
		return nil, verdict
	case found != nil:
		return found, nil
	}
	s.enter(newEntry(x.ID, r), notCopied)
	return x, nil
}

// enter queues an exchange.
func (s *Store) enter(e *entry, state copyState) {
	if e.copy = state; s.replicas != nil {
		e.large = e.size > s.replicas.MaxBytes
	}
	s.mu.Lock()
	s.queue.push(e)
	s.mu.Unlock()
	if state != copied {
		s.replicas.changed(e)
	}
	s.wake()
}

// sameScope finds the exchange that answers for the key of x. One that is sealed with an unknown key cannot be told from x:
// it answers, because nothing is sent by that.
func (s *Store) sameScope(t *transaction, x *Exchange) (*Exchange, error) {
	id := t.Bucket(bucketScopes()).Get([]byte(x.Scope))
	if id == nil || x.Scope == "" {
		return nil, nil
	}
	r, err := decodeRecord(t.Bucket(bucketHeads()).Get(id))
	if err != nil { // damaged: whoever reads it sets it aside; its key stands for nothing
		return nil, nil
	}
	found, err := s.exchange(string(id), r)
	switch {
	case err != nil:
		return nil, nil
	case r.Result != nil && !s.config.Now().Before(r.Result.Expires):
		return nil, nil
	case found.SealedWith == "" && found.Fingerprint != x.Fingerprint:
		return nil, ErrReused
	}
	return found, nil
}

func (t *transaction) insert(id []byte, r *record, body []byte) error {
	open := t.Bucket(bucketOpen())
	sequence, err := open.NextSequence()
	if err != nil {
		return err
	}
	r.Sequence = sequence
	if err := open.Put(integer(sequence), id); err != nil {
		return err
	}
	if r.Scope != "" {
		if err := t.Bucket(bucketScopes()).Put([]byte(r.Scope), id); err != nil {
			return err
		}
	}
	if err := putBody(t.Bucket(bucketBodies()), id, body); err != nil {
		return err
	}
	return t.write(id, r)
}

// write puts a record of an exchange that is open, and accounts for the difference.
func (t *transaction) write(id []byte, r *record) error {
	r.Turn++
	value, err := r.encode()
	if err != nil {
		return err
	}
	heads := t.Bucket(bucketHeads())
	former := heads.Get(id)
	if t.bytes += int64(len(value) - len(former)); former == nil {
		t.bytes += int64(len(t.Bucket(bucketBodies()).Get(id)))
	}
	return heads.Put(id, value)
}

// tried remembers how an Accept ended.
func (s *Store) tried(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch path := (*fs.PathError)(nil); {
	case err == nil, errors.Is(err, ErrReused), errors.Is(err, context.Canceled):
		s.failing = ""
	case errors.As(err, &path):
		s.failing = path.Err.Error()
	default:
		s.failing = err.Error()
	}
}

// read finds a record; ErrNotFound when there is none.
func read(tx *bbolt.Tx, id []byte) (*record, error) {
	value := tx.Bucket(bucketHeads()).Get(id)
	if value == nil {
		return nil, ErrNotFound
	}
	return decodeRecord(value)
}
