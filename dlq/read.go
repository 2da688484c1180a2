package dlq

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Has reports whether the letter is in the spool. It is false too when the spool cannot be read.
func (s *Spool) Has(id string) bool {
	return s.tally.isAhead(id) || s.inFile([]byte(id)) // in this order: it may land in between
}

// Get returns a letter; ErrNotFound when there is none. A letter found damaged is moved aside, and not found. One that
// is sealed with an unknown key comes without its message, see Message.SealedWith and Message.Whole.
func (s *Spool) Get(id string) (*Letter, error) {
	var l *Letter
	err := s.db.View(func(tx *bbolt.Tx) (err error) {
		head := tx.Bucket(bucketHeads()).Get([]byte(id))
		if head == nil {
			return ErrNotFound
		}
		l, err = decode(s.config.Seal, []byte(id), head, tx.Bucket(bucketBodies()).Get([]byte(id)))
		return err
	})
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, errDamaged):
		if err := s.quarantine(context.Background(), []byte(id)); err != nil {
			return nil, err
		}
		return nil, ErrNotFound
	case errors.Is(err, ErrNotFound):
		return nil, ErrNotFound
	}
	return nil, fmt.Errorf("read the spool: %w", err)
}

// List returns the first letters that f chooses, oldest first; limit 0 or below means all, which may be a lot of
// memory: see Each.
func (s *Spool) List(f Filter, limit int) ([]*Letter, error) {
	var list []*Letter
	err := s.Each(f, func(l *Letter) bool {
		list = append(list, l)
		return limit <= 0 || len(list) < limit
	})
	return list, err
}

// Each hands the letters that f chooses to visit, oldest first, until it returns false. It reads in pieces: visit may
// take its time and may change the spool, and letters that come, change or go meanwhile are seen as they are when
// their piece is read. Damaged letters are moved aside and not handed over.
func (s *Spool) Each(f Filter, visit func(*Letter) bool) error {
	var after []byte
	for {
		p, err := s.piece(f, after)
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		for _, id := range p.damaged {
			if err := s.quarantine(context.Background(), id); err != nil {
				return err
			}
		}
		for _, l := range p.letters {
			if !visit(l) {
				return nil
			}
		}
		if p.end {
			return nil
		}
		after = p.last
	}
}

// A piece is what one read transaction yields. Its bounds keep the transaction short, because pages freed meanwhile
// cannot be used again, and what is held in memory small.
type piece struct {
	letters []*Letter
	damaged [][]byte
	last    []byte // where the next piece goes on
	end     bool
}

const (
	pieceLetters = 64
	pieceBytes   = 1 << 20
	pieceSeen    = 2048
)

func (s *Spool) piece(f Filter, after []byte) (p piece, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		defer s.db.Trim(tx)
		bodies := tx.Bucket(bucketBodies())
		cursor := tx.Bucket(bucketHeads()).Cursor()
		id, head := seekAfter(cursor, after)
		var held int64
		for seen := 0; id != nil; id, head = cursor.Next() {
			if seen == pieceSeen || len(p.letters) == pieceLetters || held >= pieceBytes {
				return nil
			}
			seen++
			p.last = append(p.last[:0], id...)
			l, err := s.choose(f, id, head, bodies)
			if err != nil {
				p.damaged = append(p.damaged, append([]byte(nil), id...))
			} else if l != nil {
				p.letters = append(p.letters, l)
				held += int64(len(l.OriginalMessage.Body))
			}
		}
		p.end = true
		return nil
	})
	return p, err
}

// choose returns the letter if f does: what the summary tells is asked before the JSON, and that before the message.
func (s *Spool) choose(f Filter, id, value []byte, bodies *bbolt.Bucket) (*Letter, error) {
	h, ok := decodeHead(id, value)
	if !ok {
		return nil, errDamaged
	}
	if !f.chooses(h.summary) {
		return nil, nil
	}
	l, err := decodeBare(h)
	if err != nil || !f.Matches(l) {
		return nil, err
	}
	return decode(s.config.Seal, id, value, bodies.Get(id))
}

// chooses is false when f certainly does not choose a letter with this summary.
func (f Filter) chooses(s summary) bool {
	if !f.Since.IsZero() && s.created.Before(f.Since) || !f.Until.IsZero() && !s.created.Before(f.Until) {
		return false
	}
	if f.ErrorType != "" && f.ErrorType != s.errorType {
		return false
	}
	return f.choosesState(s.state)
}

func (f Filter) choosesState(state State) bool {
	for _, s := range f.States {
		if s == state {
			return true
		}
	}
	return len(f.States) == 0
}

func seekAfter(cursor *bbolt.Cursor, after []byte) (id, head []byte) {
	if after == nil {
		return cursor.First()
	}
	id, head = cursor.Seek(after)
	if string(id) == string(after) {
		return cursor.Next()
	}
	return id, head
}
