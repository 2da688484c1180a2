package dlq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
)

// A letter is kept in the journal first, one sync of an append, and lands in the file a moment later. Whoever reads or
// changes the file finds it there; only Has, Stats and Put look at the file without waiting for that.

// journalShare is which part of MaxBytes half the journal may take. It has at most 2 MiB then, so that the letters that
// memory holds until they have landed stay few.
const (
	journalShare = 64
	maxSegment   = 2 << 20
)

func (s *Spool) journal() *groupcommit.Journal {
	segment := s.config.segment
	if segment == 0 {
		segment = int(min(s.config.MaxBytes/journalShare+1, maxSegment)) // never 0, which stands for what is usual
	}
	return &groupcommit.Journal{Path: filepath.Join(s.config.Dir, "letters.journal"), Segment: segment, Apply: s.land}
}

// append keeps a letter in the journal; kept is false when it must take the other way: the spool may be full, the letter
// may be there already, or there is no journal.
func (s *Spool) append(ctx context.Context, w writing) (kept bool, err error) {
	since := s.config.Now().Round(0) // as it comes back from the disk
	length := 8 + binary.MaxVarintLen64*2 + len(w.id) + len(w.head) + len(w.body)
	if !s.db.Journals(length) || !s.tally.reserve(w, s.config.MaxBytes) {
		return false, nil
	}
	if s.inFile(w.id) {
		s.tally.release(w)
		return false, nil
	}
	waits := s.config.Outbox && w.summary.state != Forwarded
	err = s.db.Append(ctx, encodeJournaled(w, since, length), func() { s.keptAhead(w, since, waits) })
	if err == nil {
		s.recountIfDoubtful()
		return true, nil
	}
	s.tally.release(w)
	if errors.Is(err, groupcommit.ErrNoJournal) {
		return false, nil
	}
	return false, fmt.Errorf("put a letter in the spool: %w", err)
}

func (s *Spool) inFile(id []byte) (found bool) {
	_ = s.db.Peek(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucketHeads()).Get(id) != nil
		return nil
	})
	return found
}

func (s *Spool) keptAhead(w writing, since time.Time, waits bool) {
	s.tally.kept(w, since, waits)
	s.changed()
	if waits {
		s.tellForwarder()
	}
}

// land brings letters from the journal to the file. They were promised, so that they are taken even when the spool is
// smaller by now than it was; one that is there already stays as it is.
func (s *Spool) land(tx *bbolt.Tx, records [][]byte) error {
	t := s.begin(tx)
	known := 0
	for _, r := range records {
		w, since, ok := decodeJournaled(r)
		if !ok {
			if err := tx.Bucket(bucketQuarantine()).Put([]byte("journal-"+string(w.id)+"\x00head"), r); err != nil {
				return err
			}
			t.change.quarantined++ // of a version that is not known
			continue
		}
		if t.letters.Get(w.id) != nil {
			known++
			continue
		}
		if _, err := t.makeRoom(w.summary.size, 0); err != nil {
			return err
		}
		t.since = since
		if err := t.insert(w); err != nil {
			return err
		}
	}
	t.change.landed = len(records)
	t.commit.landed = len(records)
	tx.OnCommit(func() {
		s.tally.apply(t.change)
		if known > 0 { // counted twice, or kept by a commit that was said to have failed
			s.doubtful.Store(true)
		}
	})
	return t.account()
}

// replay tells the tally of the letters that the journal held when the spool was opened, and lets them land. It returns
// what is to be said of those that could not be read.
func (s *Spool) replay() (damaged string) {
	missing, aside := s.db.Replay(func(records [][]byte) {
		for _, r := range records {
			w, since, ok := decodeJournaled(r)
			s.tally.found(w, since, ok && s.config.Outbox && w.summary.state != Forwarded)
		}
	})
	if s.Stats().Outbox > 0 {
		s.tellForwarder()
	}
	if missing == 0 {
		return ""
	}
	damaged = fmt.Sprintf("letters.journal was damaged: %d letters could not be read of it", missing)
	if aside != "" {
		damaged += "; it is kept as " + filepath.Base(aside)
	}
	return damaged
}

// A letter in the journal: since when it waits 8 | id | head | body. The first two have a varint length before them.
func encodeJournaled(w writing, since time.Time, length int) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, length), uint64(since.UnixNano()))
	b = appendString(appendString(b, string(w.id)), string(w.head))
	return append(b, w.body...)
}

func decodeJournaled(b []byte) (w writing, since time.Time, ok bool) {
	since = timeAt(b)
	if len(b) < 8 {
		return w, since, false
	}
	rest := b[8:]
	if w.id, rest, ok = cut(rest); !ok {
		return w, since, false
	}
	if w.head, w.body, ok = cut(rest); !ok {
		return w, since, false
	}
	w.summary, ok = decodeSummary(w.id, w.head)
	return w, since, ok
}
