package dlq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
)

// fileOf writes letters, some of them closed, removed or forwarded, and returns the ids of those there are and the
// file.
func fileOf(t testing.TB, n int) (ids []string, image []byte) {
	t.Helper()
	s := openSpool(t, Config{Outbox: true})
	for i := range n {
		l := letter(fmt.Sprint(i))
		l.OriginalMessage.Body = bytes.Repeat([]byte{byte('a' + i%26)}, i*37%9000)
		put(t, s, l)
		ids = append(ids, l.ID)
		if i%5 == 0 {
			must(t, s.Discard(t.Context(), l.ID, "me"))
		}
	}
	seqs, _ := outgoing(t, s, 0, 10)
	must(t, s.Forwarded(t.Context(), seqs))
	must(t, s.Close())
	image, err := os.ReadFile(filepath.Join(s.config.Dir, "letters.db"))
	must(t, err)
	return ids, image
}

// useAll does everything a sidecar does with a spool and returns how many of the letters are there, whole.
func useAll(t testing.TB, s *Spool, ids []string) (whole int) {
	t.Helper()
	for _, id := range ids {
		if l, err := s.Get(id); err == nil && l.OriginalMessage.Whole() == nil {
			whole++
		} else if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatalf("get: %v", err)
		}
	}
	must(t, s.Each(Filter{}, func(*Letter) bool { return true }))
	put(t, s, letter("new"))
	_, err := s.ResolveScope(t.Context(), "scope-1", "me")
	must(t, err)
	for {
		out, err := s.Outbox(0, 50)
		must(t, err)
		if len(out) == 0 {
			break
		}
		var seqs []uint64
		for _, o := range out {
			seqs = append(seqs, o.Seq)
		}
		must(t, s.Forwarded(t.Context(), seqs))
	}
	if got := s.Stats(); got.Outbox != 0 || got.Bytes <= 0 || got.ByState[Dead] < 0 {
		t.Fatalf("%+v", got)
	}
	_, err = s.Expire(t.Context(), day(1).Add(24*365*time.Hour))
	must(t, err)
	if got := s.Stats(); got.ByState[Dead]+got.ByState[Discarded]+got.ByState[Forwarded]+got.ByState[Resolved] != 0 || got.Bytes != 0 {
		t.Fatalf("after all has expired: %+v", got)
	}
	return whole
}

func reopen(t testing.TB, image []byte) *Spool {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "letters.db"), image, 0o600))
	return openSpool(t, Config{Dir: dir, Outbox: true})
}

func TestADamagedFileNeverKeepsTheSidecarFromStarting(t *testing.T) {
	ids, image := fileOf(t, 120)
	random := rand.New(rand.NewPCG(1, 2))
	rounds, whole, salvaged := 300, 0, 0
	if testing.Short() {
		rounds = 40
	}
	for round := range rounds {
		damaged, how := bytes.Clone(image), ""
		switch round % 3 {
		case 0: // one bit
			at, bit := random.IntN(len(damaged)), random.IntN(8)
			damaged[at] ^= 1 << bit
			how = fmt.Sprintf("bit %d of the byte at %d", bit, at)
		case 1: // one bit of the head of a page, where it hurts
			page, at, bit := random.IntN(len(damaged)/4096), random.IntN(160), random.IntN(8)
			damaged[page*4096+at] ^= 1 << bit
			how = fmt.Sprintf("bit %d of byte %d of page %d", bit, at, page)
		case 2: // a torn sector
			at := random.IntN(len(damaged)/512) * 512
			for i := range 512 {
				damaged[at+i] = byte(random.Uint32())
			}
			how = fmt.Sprintf("the sector at %d", at)
		}
		s := reopen(t, damaged)
		stats := s.Stats()
		if stats.Damaged != "" {
			salvaged++
			checkAside(t, s, damaged)
		}
		n := useAll(t, s, ids)
		whole += n
		if lost := len(ids) - n; lost > 12 { // a page holds some letters, and a torn sector tears one or two
			t.Errorf("round %d, %s: %d of %d letters lost: %s; %s", round, how, lost, len(ids), stats.Damaged, keep(t, damaged))
		}
		must(t, s.Close())
	}
	t.Logf("%d times damaged, %d files salvaged, %.2f letters of %d lost each time", rounds, salvaged, float64(rounds*len(ids)-whole)/float64(rounds), len(ids))
}

// checkAside: the damaged file is kept as it was.
func checkAside(t testing.TB, s *Spool, want []byte) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.config.Dir, "letters.db.damaged-*"))
	must(t, err)
	if len(found) != 1 || !strings.Contains(s.Stats().Damaged, filepath.Base(found[0])) || strings.Contains(s.Stats().Damaged, s.config.Dir) {
		t.Fatalf("found %v, told %q", found, s.Stats().Damaged)
	}
	if kept, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(kept, want) {
		t.Fatalf("the damaged file was changed: %v", err)
	}
}

func TestATruncatedFileNeverKeepsTheSidecarFromStarting(t *testing.T) {
	ids, image := fileOf(t, 120)
	for size := 0; size < len(image); size += max(1, len(image)/60-7) {
		s := reopen(t, image[:size])
		n := useAll(t, s, ids)
		t.Logf("%d of %d bytes: %d of %d letters; %s", size, len(image), n, len(ids), s.Stats().Damaged)
		must(t, s.Close())
	}
}

func TestWithoutFirstPagesEveryLetterIsFound(t *testing.T) {
	ids, image := fileOf(t, 120)
	for name, pages := range map[string][]int{"first": {0}, "second": {1}, "both": {0, 1}} {
		damaged := bytes.Clone(image)
		for _, page := range pages {
			clear(damaged[page*4096 : (page+1)*4096])
		}
		s := reopen(t, damaged)
		if got := s.Stats(); got.Damaged == "" || got.Quarantined != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		closed, err := s.List(Filter{States: []State{Discarded}}, 0)
		must(t, err)
		if n := useAll(t, s, ids); n != len(ids) || len(closed) != len(ids)/5 {
			t.Errorf("%s: %d of %d letters, %d closed", name, n, len(ids), len(closed))
		}
		must(t, s.Close())
	}
}

func TestAFileInUseIsNotSalvaged(t *testing.T) {
	s := openSpool(t, Config{})
	must(t, os.Truncate(filepath.Join(s.config.Dir, "letters.db"), 5000))
	if _, err := Open(s.config); !errors.Is(err, groupcommit.ErrInUse) {
		t.Errorf("got %v", err)
	}
	if found, _ := filepath.Glob(filepath.Join(s.config.Dir, "*.damaged-*")); len(found) != 0 {
		t.Errorf("moved aside: %v", found)
	}
}

func TestAFileTruncatedInUseIsAnErrorNotTheEnd(t *testing.T) {
	s := openSpool(t, Config{})
	var ids []string
	for range 50 {
		l := letter(strings.Repeat("x", 5000))
		put(t, s, l)
		ids = append(ids, l.ID)
	}
	must(t, os.Truncate(filepath.Join(s.config.Dir, "letters.db"), 8192))
	failed := 0
	for _, id := range ids {
		if _, err := s.Get(id); err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("nothing was missed")
	}
	_ = s.Put(context.Background(), letter("more"))
	_ = s.Stats()
}

func TestADamagedIndexIsMadeAnew(t *testing.T) {
	for _, bucket := range indexes() {
		s := openSpool(t, Config{Outbox: true})
		a, b, c := letter("a"), letter("b"), letter("c")
		put(t, s, a, b, c)
		seqs, _ := outgoing(t, s, 0, 1)
		must(t, s.Forwarded(t.Context(), seqs))
		must(t, s.Discard(t.Context(), c.ID, "me"))
		want := s.Stats()
		must(t, s.db.Do(t.Context(), func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(bucket).Cursor()
			if key, _ := cursor.First(); key == nil {
				t.Fatalf("%s has no entry", bucket)
			}
			return cursor.Delete()
		}))
		must(t, s.Close())
		s = openSpool(t, s.config)
		if got := s.Stats(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, want %+v", bucket, got, want)
		}
		if n, err := s.ResolveScope(t.Context(), "scope-a", "me"); n != 1 || err != nil {
			t.Errorf("%s: resolved %d, %v", bucket, n, err)
		}
		expectOutbox(t, s, "b dead", "c discarded", "a resolved")
	}
}
