package dlq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/journal"
)

// inJournal reports how many letters have not landed.
func inJournal(s *Spool) int {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	return len(s.tally.ahead.letters)
}

// crashed is the spool as a new process finds it after a crash.
func crashed(t *testing.T, s *Spool) *Spool {
	t.Helper()
	dir := t.TempDir()
	copyFiles(t, s.config.Dir, dir)
	c := s.config
	c.Dir = dir
	return openSpool(t, c)
}

func TestALetterIsInTheJournalAndKnownAtOnce(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	a, b := letter("a"), letter("b")
	b.Metadata.Created = day(2)
	put(t, s, a, b)
	if inJournal(s) != 2 || s.inFile([]byte(a.ID)) {
		t.Fatalf("%d letters are in the journal", inJournal(s))
	}
	before := s.Stats()
	if !s.Has(a.ID) || s.Has("y") || before.ByState[Dead] != 2 || before.Outbox != 2 || !before.Oldest.Equal(day(1)) || before.OutboxOldest.IsZero() {
		t.Errorf("%+v", before)
	}
	select {
	case <-s.OutboxReady():
	default:
		t.Error("who forwards was not told")
	}
	list, err := s.List(Filter{}, 0)
	must(t, err)
	if inJournal(s) != 0 || !reflect.DeepEqual(list, []*Letter{a, b}) {
		t.Errorf("%d in the journal, listed %v", inJournal(s), texts(list))
	}
	if after := s.Stats(); !reflect.DeepEqual(after, before) {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	expectOutbox(t, s, "a dead", "b dead")
}

func TestWhatChangesALetterFindsItInTheJournal(t *testing.T) {
	s := openSpool(t, Config{})
	discarded, resolved, edited := letter("a"), letter("b"), letter("c")
	put(t, s, discarded)
	must(t, s.Discard(t.Context(), discarded.ID, "me"))
	put(t, s, resolved)
	if n, err := s.ResolveScope(t.Context(), "scope-b", "me"); n != 1 || err != nil {
		t.Errorf("resolved %d, %v", n, err)
	}
	put(t, s, edited)
	must(t, s.Update(t.Context(), edited.ID, func(l *Letter) error { l.State = Replayed; return nil }))
	for range 2 {
		if got := s.Stats(); got.ByState[Discarded] != 1 || got.ByState[Resolved] != 1 || got.ByState[Replayed] != 1 || got.ByState[Dead] != 0 {
			t.Errorf("%+v", got)
		}
		s = crashed(t, s)
	}
}

// TestNothingIsLostAndNothingComesBack compares the spool with a map, over crashes and closes.
func TestNothingIsLostAndNothingComesBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := openSpool(t, Config{Outbox: rapid.Bool().Draw(r, "outbox"), segment: journal.MinSegment})
		want := map[string]State{}
		var ids []string
		one := func(r *rapid.T) string {
			if len(ids) == 0 {
				r.Skip()
			}
			return rapid.SampledFrom(ids).Draw(r, "letter")
		}
		check := func() {
			counted := map[State]int{}
			must(t, s.Each(Filter{}, func(l *Letter) bool { counted[l.State]++; return true }))
			for id, state := range want {
				if l, err := s.Get(id); state == "" && !errors.Is(err, ErrNotFound) || state != "" && (err != nil || l.State != state) {
					r.Fatalf("%s is %+v, %v, want %s", id, l, err, state)
				}
			}
			for state, n := range s.Stats().ByState {
				if counted[state] != n {
					r.Fatalf("%d letters are %s, counted %d", counted[state], state, n)
				}
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"put": func(r *rapid.T) {
				l := letter(strings.Repeat("x", rapid.IntRange(0, 60_000).Draw(r, "size")))
				put(t, s, l)
				ids, want[l.ID] = append(ids, l.ID), Dead
			},
			"put again": func(r *rapid.T) {
				l := letter("again")
				if l.ID = one(r); want[l.ID] != "" {
					put(t, s, l)
				}
			},
			"discard": func(r *rapid.T) {
				if id := one(r); want[id] == Dead {
					must(t, s.Discard(t.Context(), id, "me"))
					want[id] = Discarded
				}
			},
			"expire": func(*rapid.T) {
				_, err := s.Expire(t.Context(), day(1).Add(defaultRetention*2))
				must(t, err)
				for id := range want {
					want[id] = ""
				}
			},
			"check": func(*rapid.T) { check() },
			"close": func(*rapid.T) { must(t, s.Close()); s = openSpool(t, s.config) },
			"crash": func(*rapid.T) {
				before := s
				s = crashed(t, s)
				must(t, before.Close())
				check()
			},
		})
		must(t, s.Close())
	})
}

func TestBoundsHoldWithAJournal(t *testing.T) {
	s := openSpool(t, Config{MaxBytes: 60_000, segment: journal.MinSegment})
	var wg sync.WaitGroup
	var mu sync.Mutex
	kept := make(map[string]bool)
	for range 128 {
		wg.Go(func() {
			l := letter("x")
			err := s.Put(t.Context(), l)
			if err != nil && !errors.Is(err, ErrFull) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			kept[l.ID] = err == nil
		})
	}
	wg.Wait()
	n := 0
	for id, want := range kept {
		if s.Has(id) != want {
			t.Errorf("%s: kept %v, told %v", id, !want, want)
		}
		if want {
			n++
		}
	}
	list, err := s.List(Filter{}, 0)
	must(t, err)
	if got := s.Stats(); got.Bytes > got.MaxBytes || got.ByState[Dead] != n || len(list) != n || n == 0 || n == 128 {
		t.Errorf("%d kept, %d listed, %+v", n, len(list), got)
	}
	if s.tally.ahead.reserved != 0 || s.tally.ahead.direct != 0 || s.tally.ahead.bytes != 0 || len(s.tally.ahead.ids) != 0 || len(s.tally.coming) != 0 {
		t.Errorf("left over: %+v", s.tally.ahead)
	}
}

func TestAFailedCommitLeavesLettersInTheJournalCountedOnce(t *testing.T) {
	s := openSpool(t, Config{Outbox: true})
	put(t, s, letter("before"))
	restore := failSyncs(t, s)
	put(t, s, letter("kept in the journal"))
	if err := s.Discard(t.Context(), "x", "me"); err == nil {
		t.Error("a failed commit was not told")
	}
	if err := s.Put(t.Context(), letter("lost")); err == nil {
		t.Error("a letter that is not on disk was acknowledged")
	}
	restore()
	put(t, s, letter("after"), letter("and more"))
	if err := s.Discard(t.Context(), "x", "me"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	list, err := s.List(Filter{}, 0)
	must(t, err)
	if got := s.Stats(); got.ByState[Dead] != len(list) || got.Outbox != len(list) || len(list) < 4 || got.Lost != 1 {
		t.Errorf("%v, %+v", texts(list), got)
	}
}

func TestASealedLetterIsSealedInTheJournal(t *testing.T) {
	s := openSpool(t, Config{Seal: sealer(t, hexKey(1))})
	l := letter("")
	l.OriginalMessage.Body = []byte("personal-data")
	put(t, s, l)
	file, err := os.ReadFile(filepath.Join(s.config.Dir, "letters.journal"))
	must(t, err)
	if !bytes.Contains(file, []byte(l.ID)) || bytes.Contains(file, []byte("personal-data")) {
		t.Error("it is not there, or not sealed")
	}
	if info, err := os.Stat(filepath.Join(s.config.Dir, "letters.journal")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestADamagedJournalIsTold(t *testing.T) {
	s := openSpool(t, Config{})
	for i := range 10 {
		put(t, s, letter(fmt.Sprint("letter ", i)))
	}
	dir := t.TempDir()
	copyFiles(t, s.config.Dir, dir)
	path := filepath.Join(dir, "letters.journal")
	file, err := os.ReadFile(path)
	must(t, err)
	file[bytes.Index(file, []byte("letter 4"))] ^= 1
	must(t, os.WriteFile(path, file, 0o600))
	s = openSpool(t, Config{Dir: dir})
	told := s.Stats().Damaged
	aside, _ := filepath.Glob(path + ".damaged-*")
	if s.Stats().ByState[Dead] != 9 || len(aside) != 1 || !strings.Contains(told, "1 letters") || !strings.Contains(told, filepath.Base(aside[0])) || strings.Contains(told, dir) {
		t.Errorf("%+v, aside %v", s.Stats(), aside)
	}
}

func TestASalvagedFileHasWhatTheJournalHolds(t *testing.T) {
	s := openSpool(t, Config{})
	a, b := letter("a"), letter("b")
	put(t, s, a)
	for i := range 60 { // so that the file has pages of letters
		put(t, s, letter(fmt.Sprint(i)))
	}
	must(t, s.Discard(t.Context(), a.ID, "me"))
	put(t, s, b)
	dir := t.TempDir()
	copyFiles(t, s.config.Dir, dir)
	path := filepath.Join(dir, "letters.db")
	file, err := os.ReadFile(path)
	must(t, err)
	clear(file[:8192])
	must(t, os.WriteFile(path, file, 0o600))
	s = openSpool(t, Config{Dir: dir})
	if l, err := s.Get(a.ID); err != nil || l.State != Discarded {
		t.Errorf("%+v, %v", l, err)
	}
	if !s.Has(b.ID) || s.Stats().Damaged == "" {
		t.Errorf("the letter of the journal is missing: %+v", s.Stats())
	}
}

// TestAnOlderSidecarReadsTheFileOfANewerOne: all that Close leaves is in the file, in buckets it knows.
func TestAnOlderSidecarReadsTheFileOfANewerOne(t *testing.T) {
	s := openSpool(t, Config{})
	l := letter("a")
	put(t, s, l)
	must(t, s.Close())
	db, err := bbolt.Open(filepath.Join(s.config.Dir, "letters.db"), 0o600, nil)
	must(t, err)
	defer db.Close()
	must(t, db.View(func(tx *bbolt.Tx) error {
		h, ok := decodeHead([]byte(l.ID), tx.Bucket(bucketHeads()).Get([]byte(l.ID)))
		if !ok || !json.Valid(h.text) || tx.Bucket(bucketBodies()).Get([]byte(l.ID)) == nil {
			t.Error("the letter is not in the file")
		}
		return nil
	}))
}
