package groupcommit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bucket = []byte("b")

func open(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	}))
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(key string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), []byte("v")) }
}

func has(t testing.TB, db *DB, key string) (found bool) {
	t.Helper()
	must(t, db.View(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucket).Get([]byte(key)) != nil
		return nil
	}))
	return found
}

// hold keeps the writer inside an operation until release is called, so that others must wait for it.
func hold(t testing.TB, db *DB) (release func()) {
	t.Helper()
	inside, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		done <- db.Do(context.Background(), func(*bbolt.Tx) error {
			once.Do(func() { close(inside) })
			<-gate
			return nil
		})
	}()
	<-inside
	return sync.OnceFunc(func() { close(gate); must(t, <-done) })
}

func (db *DB) waitFor(n int) {
	for {
		db.mu.Lock()
		waiting := len(db.waiting)
		db.mu.Unlock()
		if waiting >= n {
			return
		}
		runtime.Gosched()
	}
}

func TestModesOfFileAndFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	open(t, filepath.Join(dir, "x.db"))
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, "x.db"): 0o600} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %o, want %o", path, info.Mode().Perm(), want)
		}
	}
}

func TestSecondOpenSaysWhoHoldsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	open(t, path)
	_, err := Open(path, Options{LockTimeout: 60 * time.Millisecond})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "another sidecar uses it") {
		t.Fatalf("got %v", err)
	}
}

func TestDamagedFileIsAnErrorNotAPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("not a store "), 4096), 0o600))
	if _, err := Open(path, Options{}); err == nil {
		t.Fatal("opened")
	}
}

func TestAFolderThatIsAFileIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(filepath.Join(file, "x.db"), Options{}); err == nil {
		t.Fatal("opened")
	}
}

func TestDoneIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "x.db"))
	must(t, db.Do(t.Context(), put("k")))
	image, err := os.ReadFile(filepath.Join(dir, "x.db"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "copy.db"), image, 0o600))
	if !has(t, open(t, filepath.Join(dir, "copy.db")), "k") {
		t.Fatal("an acknowledged write is missing from the file")
	}
}

func TestThoseWhoWaitShareOneCommit(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	release := hold(t, db)
	var wg sync.WaitGroup
	ids := make([]int, 20)
	for i := range ids {
		wg.Go(func() {
			err := db.Do(t.Context(), func(tx *bbolt.Tx) error { ids[i] = tx.ID(); return put(fmt.Sprint(i))(tx) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	db.waitFor(len(ids))
	release()
	wg.Wait()
	for i, id := range ids {
		if id != ids[0] || !has(t, db, fmt.Sprint(i)) {
			t.Fatalf("operation %d ran in transaction %d, the first in %d", i, id, ids[0])
		}
	}
}

func TestLargeOnesDoNotShareACommit(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	release := hold(t, db)
	var wg sync.WaitGroup
	ids := make([]int, 3)
	for i := range ids {
		wg.Go(func() {
			_ = db.DoWeighed(t.Context(), 3<<20, func(tx *bbolt.Tx) error { ids[i] = tx.ID(); return nil })
		})
	}
	db.waitFor(len(ids))
	release()
	wg.Wait()
	if ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2] {
		t.Fatalf("3 MiB operations met in a transaction: %v", ids)
	}
}

func TestAFailingOrPanickingOneDoesNotFailItsNeighbours(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	release := hold(t, db)
	errOwn := errors.New("own")
	ops := map[string]func(*bbolt.Tx) error{
		"good 1": put("good 1"),
		"fails":  func(tx *bbolt.Tx) error { return errors.Join(put("fails")(tx), errOwn) },
		"panics": func(tx *bbolt.Tx) error { _ = put("panics")(tx); panic("oops") },
		"good 2": put("good 2"),
	}
	errs := make(map[string]error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, op := range ops {
		wg.Go(func() {
			err := db.Do(t.Context(), op)
			mu.Lock()
			errs[name] = err
			mu.Unlock()
		})
	}
	db.waitFor(len(ops))
	release()
	wg.Wait()
	if errs["good 1"] != nil || errs["good 2"] != nil || !has(t, db, "good 1") || !has(t, db, "good 2") {
		t.Errorf("good ones: %v", errs)
	}
	if !errors.Is(errs["fails"], errOwn) || has(t, db, "fails") {
		t.Errorf("failing one: %v", errs["fails"])
	}
	if errs["panics"] == nil || !strings.Contains(errs["panics"].Error(), "oops") || has(t, db, "panics") {
		t.Errorf("panicking one: %v", errs["panics"])
	}
}

func TestCanceledBeforeItStartsIsNotRun(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- db.Do(ctx, put("k")) }()
	db.waitFor(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	release()
	must(t, db.Do(t.Context(), put("later")))
	if has(t, db, "k") {
		t.Fatal("ran although its caller was told it did not")
	}
	if err := db.Do(ctx, put("k")); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestCanceledAfterItStartedIsCarriedThrough(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	ctx, cancel := context.WithCancel(t.Context())
	must(t, db.Do(ctx, func(tx *bbolt.Tx) error { cancel(); return put("k")(tx) }))
	if !has(t, db, "k") {
		t.Fatal("missing")
	}
}

func TestCloseRunsWhatWaitsAndRefusesTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	release := hold(t, db)
	done := make(chan error)
	go func() { done <- db.Do(t.Context(), put("k")) }()
	db.waitFor(1)
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	release()
	must(t, <-done)
	must(t, <-closed)
	must(t, db.Close())
	if err := db.Do(t.Context(), put("late")); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if err := db.View(func(*bbolt.Tx) error { return nil }); err == nil {
		t.Fatal("read a closed store")
	}
	if !has(t, open(t, path), "k") {
		t.Fatal("Close did not run what waited")
	}
}

func TestAPanicWhileReadingIsAnError(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	if err := db.View(func(*bbolt.Tx) error { panic("oops") }); err == nil {
		t.Fatal("no error")
	}
	must(t, db.Do(t.Context(), put("k")))
}

func TestHealLeavesTheFileAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	must(t, db.Do(t.Context(), put("k")))
	before, err := os.ReadFile(path)
	must(t, err)
	db.suspect = true
	must(t, db.heal())
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) || db.suspect {
		t.Fatal("the file was changed, or is suspect still")
	}
	must(t, db.Do(t.Context(), put("more")))
}
