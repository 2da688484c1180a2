package groupcommit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/journal"
)

// apply takes the text before the first space for a key, and remembers how often each came.
func apply(tx *bbolt.Tx, records [][]byte) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	for _, r := range records {
		key, _, _ := bytes.Cut(r, []byte(" "))
		if err := b.Put(key, append(bytes.Clone(b.Get(key)), 'v')); err != nil {
			return err
		}
	}
	return nil
}

// openJournaled opens a store with a journal; found are the records that it held.
func openJournaled(t testing.TB, dir string, apply func(*bbolt.Tx, [][]byte) error) (db *DB, found, missing int) {
	t.Helper()
	db, err := Open(filepath.Join(dir, "x.db"), Options{Journal: &Journal{Path: filepath.Join(dir, "x.journal"), Segment: journal.MinSegment, Apply: apply}})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists(bucket); return err }))
	missing, _ = db.Replay(func(records [][]byte) { found = len(records) })
	return db, found, missing
}

func add(t testing.TB, db *DB, key string) {
	t.Helper()
	must(t, db.Append(t.Context(), []byte(key+" "+strings.Repeat("x", 1000)), func() {}))
}

// crashed copies the files as they are on disk.
func crashed(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"x.journal", "x.db"} { // what leaves the first is in the second by then
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), b, 0o600))
	}
	return to
}

func times(t testing.TB, db *DB, key string) (n int) {
	t.Helper()
	must(t, db.View(func(tx *bbolt.Tx) error { n = len(tx.Bucket(bucket).Get([]byte(key))); return nil }))
	return n
}

func TestWhatWasAppendedIsSeenByViewAndDo(t *testing.T) {
	db, _, _ := openJournaled(t, t.TempDir(), apply)
	kept := false
	must(t, db.Append(t.Context(), []byte("a "), func() { kept = true }))
	if !kept || !db.behind() {
		t.Errorf("kept %v, behind %v", kept, db.behind())
	}
	must(t, db.Peek(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket).Get([]byte("a")) != nil {
			t.Error("it is in the file already")
		}
		return nil
	}))
	if times(t, db, "a") != 1 || db.behind() {
		t.Error("a view missed it")
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 30 {
				key := fmt.Sprint(i, "-", n)
				add(t, db, key)
				must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error {
					if tx.Bucket(bucket).Get([]byte(key)) == nil {
						t.Errorf("%s is missing", key)
					}
					return nil
				}))
			}
		})
	}
	wg.Wait()
}

func TestAfterACrashEveryRecordComesOnceAndNoneComesBack(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	add(t, db, "a")
	add(t, db, "deleted")
	must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete([]byte("deleted")) }))
	add(t, db, "b")
	for range 2 { // a crash after the start too
		dir = crashed(t, dir)
	}
	again, found, missing := openJournaled(t, dir, apply)
	if found != 1 || missing != 0 || times(t, again, "a") != 1 || times(t, again, "b") != 1 || times(t, again, "deleted") != 0 {
		t.Errorf("%d found, %d missing; a %d, b %d, deleted %d times", found, missing, times(t, again, "a"), times(t, again, "b"), times(t, again, "deleted"))
	}
	third, found, _ := openJournaled(t, crashed(t, dir), apply)
	if found != 0 || times(t, third, "b") != 1 {
		t.Errorf("applied twice: %d", found)
	}
}

func TestCloseLeavesAnEmptyJournal(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	add(t, db, "a")
	must(t, db.Close())
	must(t, os.Remove(filepath.Join(dir, "x.journal")))
	if !has(t, open(t, filepath.Join(dir, "x.db")), "a") {
		t.Error("it was in the journal only")
	}
	if err := db.Append(t.Context(), []byte("b "), func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestRecordsLandByThemselves(t *testing.T) {
	db, _, _ := openJournaled(t, t.TempDir(), apply)
	add(t, db, "a")
	deadline := time.After(30 * time.Second)
	for db.behind() {
		select {
		case <-deadline:
			t.Fatal("they never do")
		case <-time.After(10 * time.Millisecond):
		}
	}
	must(t, db.Peek(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket).Get([]byte("a")) == nil {
			t.Error("it is not there")
		}
		return nil
	}))
}

func TestAFullJournalWaitsForItsRecordsToLand(t *testing.T) {
	db, _, _ := openJournaled(t, t.TempDir(), apply)
	release := hold(t, db)
	defer release()
	var wg sync.WaitGroup
	const n = 1000 // of one KiB each: about twice what fits
	for i := range n {
		wg.Go(func() { add(t, db, fmt.Sprint(i)) })
	}
	for full := false; !full; { // nothing can land: the file is held
		db.ahead.mu.Lock()
		full = len(db.ahead.waiting) > 0 && !db.ahead.busy && len(db.ahead.records) > 300
		db.ahead.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error)
	go func() { cancelled <- db.Append(ctx, []byte("given up "), func() { t.Error("kept") }) }()
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	wg.Wait()
	for i := range n {
		if times(t, db, fmt.Sprint(i)) != 1 {
			t.Fatalf("%d came %d times", i, times(t, db, fmt.Sprint(i)))
		}
	}
}

// TestAFailedWriteTakesTheOtherWayAndDoesNotComeBack: whether it is on disk nobody knows, so it is kept as if it was not,
// and forgotten as if it was.
func TestAFailedWriteTakesTheOtherWayAndDoesNotComeBack(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	add(t, db, "before")
	first := db.ahead.end
	must(t, db.ahead.file.Close())
	if err := db.Append(t.Context(), []byte("failed "), func() { t.Error("kept") }); !errors.Is(err, ErrNoJournal) {
		t.Fatalf("got %v", err)
	}
	if db.Journals(1) {
		t.Error("the journal is used on")
	}
	must(t, db.Do(t.Context(), put("other way")))
	if db.ahead.landed.Next != first.Next+1 {
		t.Errorf("landed up to %d, want %d", db.ahead.landed.Next, first.Next+1)
	}
	must(t, db.Close())
	db, found, _ := openJournaled(t, dir, apply)
	if found != 0 || !db.Journals(1) || times(t, db, "before") != 1 {
		t.Errorf("%d found, usable again %v", found, db.Journals(1))
	}
	add(t, db, "after")
}

// TestRecordsThatCannotLandAreSeenAllTheSame: the disk is full, or bbolt's file cannot grow.
func TestRecordsThatCannotLandAreSeenAllTheSame(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	add(t, db, "a")
	write := writeAtOf(db.bolt)
	original := *write
	*write = func([]byte, int64) (int, error) { return 0, errors.New("no space left") }
	if times(t, db, "a") != 1 {
		t.Error("a view missed it")
	}
	if err := db.Append(t.Context(), []byte("b "), func() {}); !errors.Is(err, ErrNoJournal) {
		t.Errorf("got %v", err)
	}
	if err := db.Do(t.Context(), put("c")); err == nil {
		t.Error("a failed commit was not told")
	}
	restarted, found, _ := openJournaled(t, crashed(t, dir), apply)
	if found != 1 || times(t, restarted, "a") != 1 {
		t.Errorf("after a crash: %d found", found)
	}
	*write = original
	must(t, db.Do(t.Context(), put("c")))
	add(t, db, "b")
	if times(t, db, "a") != 1 || times(t, db, "b") != 1 {
		t.Error("once the disk has recovered")
	}
}

func TestAStartWithAFullDiskKeepsWhatTheJournalHolds(t *testing.T) {
	dir := t.TempDir()
	db, _, _ := openJournaled(t, dir, apply)
	add(t, db, "a")
	fails := true
	dir = crashed(t, dir)
	db, found, _ := openJournaled(t, dir, func(tx *bbolt.Tx, records [][]byte) error {
		if fails {
			return errors.New("no space left")
		}
		return apply(tx, records)
	})
	if found != 1 || db.Journals(1) {
		t.Errorf("%d found, usable %v", found, db.Journals(1))
	}
	must(t, db.Close())
	db, found, _ = openJournaled(t, dir, apply)
	if found != 1 || times(t, db, "a") != 1 || !db.Journals(1) {
		t.Errorf("%d found", found)
	}
}
