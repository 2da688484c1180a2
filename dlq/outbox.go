package dlq

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Outgoing is a letter that a sink has yet to learn of, as it stands now.
type Outgoing struct {
	Seq    uint64 // its place in the outbox; a letter that changes its state before it is acknowledged gets a new one
	Letter *Letter
}

const (
	outboxBytes    = 4 << 20 // bodies that one call of Outbox may hold
	forwardedBatch = 128     // bounds what acknowledgements add to a commit that callers share
	outboxValue    = 8       // bytes before the id
)

// Outbox returns the next letters after a sequence (0: from the first), at most n, in the order in which they were
// kept or changed their state; fewer when their bodies come to more than 4 MiB, none when nothing waits. A letter that
// is removed leaves the outbox too. One that is sealed with an unknown key comes without its message, see
// Message.SealedWith.
func (s *Spool) Outbox(after uint64, n int) ([]Outgoing, error) {
	for {
		p, err := s.outgoing(after, n)
		if err != nil {
			return nil, fmt.Errorf("read the outbox of the spool: %w", err)
		}
		for _, id := range p.damaged {
			if err := s.quarantine(context.Background(), id); err != nil {
				return nil, err
			}
		}
		if err := s.dropOutgoing(p.gone); err != nil {
			return nil, err
		}
		if len(p.list) > 0 || p.end {
			return p.list, nil
		}
		after = p.last
	}
}

// An outgoing piece is what one read transaction yields.
type outgoingPiece struct {
	list    []Outgoing
	damaged [][]byte
	gone    []uint64 // entries without a letter
	last    uint64
	end     bool
}

func (s *Spool) outgoing(after uint64, n int) (p outgoingPiece, err error) {
	if after == ^uint64(0) || n <= 0 {
		return outgoingPiece{end: true}, nil
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		heads, bodies := tx.Bucket(bucketHeads()), tx.Bucket(bucketBodies())
		cursor := tx.Bucket(bucketOutbox()).Cursor()
		held, seen := 0, 0
		for key, value := cursor.Seek(integer(after + 1)); key != nil; key, value = cursor.Next() {
			if len(p.list) == n || held >= outboxBytes || seen == pieceSeen {
				return nil
			}
			seen++
			p.last = sequence(key)
			id := outboxID(value)
			value := heads.Get(id)
			if value == nil {
				p.gone = append(p.gone, p.last)
				continue
			}
			l, err := decode(s.config.Seal, id, value, bodies.Get(id))
			if err != nil {
				p.damaged = append(p.damaged, bytes.Clone(id))
				continue
			}
			p.list = append(p.list, Outgoing{p.last, l})
			held += len(value) + len(l.OriginalMessage.Body)
		}
		p.end = true
		return nil
	})
	return p, err
}

// Forwarded notes that a sink has these letters, by their sequences in the outbox: they leave it, a dead one becomes
// forwarded, and all get Metadata.Forwarded. A sequence that is not in the outbox any more, as its letter has
// changed its state or is gone, is passed over. When it returns nil this is on disk; after an error some of it may be.
func (s *Spool) Forwarded(ctx context.Context, seqs []uint64) error {
	now := s.config.Now()
	for len(seqs) > 0 {
		batch := seqs[:min(len(seqs), forwardedBatch)]
		seqs = seqs[len(batch):]
		err := s.change(ctx, func(t *transaction) (verdict, err error) {
			for _, seq := range batch {
				if err := t.acknowledge(seq, now); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// OutboxReady holds a token when the outbox may have something new.
func (s *Spool) OutboxReady() <-chan struct{} { return s.ready }

func (s *Spool) dropOutgoing(seqs []uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	return s.change(context.Background(), func(t *transaction) (verdict, err error) {
		for _, seq := range seqs {
			if id := outboxID(t.outbox.Get(integer(seq))); t.letters.Get(id) == nil {
				if err := t.dequeue(integer(seq), bytes.Clone(id)); err != nil {
					return nil, err
				}
			}
		}
		return nil, nil
	})
}

func (t *transaction) acknowledge(seq uint64, now time.Time) error {
	key := integer(seq)
	id := bytes.Clone(outboxID(t.outbox.Get(key)))
	if id == nil {
		return nil
	}
	if err := t.dequeue(key, id); err != nil {
		return err
	}
	_, err := t.update(id, func(l *Letter) error { // a damaged one is found by whoever reads it
		l.Metadata.Forwarded = now
		if l.State == Dead {
			l.State = Forwarded
		}
		return nil
	}, nil)
	return err
}

// queue puts a letter at the end of the outbox, also when it waits there already: a sink may be busy with the state of
// before, and its acknowledgement must not count for this one.
func (t *transaction) queue(id []byte) error {
	if !t.config.Outbox {
		return nil
	}
	if err := t.unqueue(id); err != nil {
		return err
	}
	seq, err := t.outbox.NextSequence()
	if err != nil {
		return err
	}
	t.change.queued++
	since := t.since
	if since.IsZero() {
		since = t.config.Now()
	}
	value := append(integer(uint64(since.UnixNano())), id...)
	if err := t.outbox.Put(integer(seq), value); err != nil {
		return err
	}
	return t.waiting.Put(id, integer(seq))
}

// unqueue takes a letter out of the outbox, if it is there.
func (t *transaction) unqueue(id []byte) error {
	key := bytes.Clone(t.waiting.Get(id))
	if key == nil {
		return nil
	}
	return t.dequeue(key, id)
}

func (t *transaction) dequeue(key, id []byte) error {
	if t.outbox.Get(key) != nil {
		t.change.unqueued++
	}
	if err := t.outbox.Delete(key); err != nil {
		return err
	}
	if !bytes.Equal(t.waiting.Get(id), key) {
		return nil
	}
	return t.waiting.Delete(id)
}

// outboxID is nil for what is no value of the outbox.
func outboxID(value []byte) []byte {
	if len(value) <= outboxValue {
		return nil
	}
	return value[outboxValue:]
}

func sequence(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}
