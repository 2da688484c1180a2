package dlq

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// TestAFileWithAnIndexOfScopesIsRead opens one that was written when scopes had an index on disk.
func TestAFileWithAnIndexOfScopesIsRead(t *testing.T) {
	packed, err := os.Open("testdata/scopes.db.gz")
	must(t, err)
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	must(t, err)
	image, err := io.ReadAll(unpacked)
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "letters.db"), image, 0o600))
	s := openSpool(t, Config{Dir: dir, Outbox: true})
	list, err := s.List(Filter{}, 0)
	must(t, err)
	for i, l := range list {
		if !bytes.Equal(l.OriginalMessage.Body, bytes.Repeat([]byte{byte('a' + i)}, i*1000)) {
			t.Errorf("letter %d has %d bytes", i, len(l.OriginalMessage.Body))
		}
	}
	got := s.Stats()
	if len(list) != 8 || got.ByState[Dead] != 7 || got.ByState[Discarded] != 1 || got.Outbox != 8 || got.Quarantined != 0 || got.Damaged != "" {
		t.Errorf("%d letters, %+v", len(list), got)
	}
	if n, err := s.ResolveScope(t.Context(), "scope-5", "me"); n != 1 || err != nil {
		t.Errorf("resolved %d, %v", n, err)
	}
	must(t, s.Close())
	if again := openSpool(t, s.config).Stats(); again.ByState[Resolved] != 1 || again.Damaged != "" {
		t.Errorf("after a reopen %+v", again)
	}
}

func TestScopesAreFoundWhateverTheIDs(t *testing.T) {
	s := openSpool(t, Config{})
	for i := range 12 {
		l := letter(fmt.Sprint(i))
		l.Metadata.Scope = []string{"one", "two", "three"}[i%3]
		if i%2 == 0 {
			l.ID = fmt.Sprint("no uuid ", i)
		}
		put(t, s, l)
	}
	if n, err := s.ResolveScope(t.Context(), "one", "me"); n != 4 || err != nil {
		t.Errorf("resolved %d, %v", n, err)
	}
	must(t, s.Close())
	s = openSpool(t, s.config)
	if n, err := s.ResolveScope(t.Context(), "two", "me"); n != 4 || err != nil {
		t.Errorf("after a reopen: resolved %d, %v", n, err)
	}
	if n, err := s.ResolveScope(t.Context(), "two", "me"); n != 0 || err != nil {
		t.Errorf("again: resolved %d, %v", n, err)
	}
	if got := s.Stats(); got.ByState[Resolved] != 8 || got.ByState[Dead] != 4 {
		t.Errorf("%+v", got)
	}
}

// TestALetterIsResolvedInTheCommitThatBringsIt: the memory of scopes does not know it yet.
func TestALetterIsResolvedInTheCommitThatBringsIt(t *testing.T) {
	s := openSpool(t, Config{})
	l := letter("a")
	head, err := encodeHead(l, nil, l.OriginalMessage.Body)
	must(t, err)
	w := writing{id: []byte(l.ID), head: head, body: l.OriginalMessage.Body}
	w.summary, _ = decodeSummary(w.id, head)
	must(t, s.db.Do(t.Context(), func(tx *bbolt.Tx) error {
		if err := s.begin(tx).insert(w); err != nil {
			return err
		}
		n, err := s.begin(tx).resolve("scope-a", s.closing(Resolved, "me", "resolve"))
		if n != 1 {
			t.Errorf("resolved %d", n)
		}
		return err
	}))
}

func TestHintsOfOneScopeGoOneByOne(t *testing.T) {
	s := newScopeHints()
	for _, h := range []hint{1, 2, 2, 3, 0, 0} {
		s.add(7, h)
	}
	for _, h := range []hint{2, 1, 9, 0, 3, 2} {
		s.remove(7, h)
	}
	if got := s.of(7); len(got) != 1 || got[0] != 0 {
		t.Errorf("left %v", got)
	}
	if s.remove(7, 0); len(s.first)+len(s.more) != 0 {
		t.Errorf("left %v %v", s.first, s.more)
	}
}
