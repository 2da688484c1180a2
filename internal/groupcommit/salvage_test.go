package groupcommit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

func TestADamagedFileIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	must(t, db.Do(t.Context(), put("k")))
	must(t, db.Close())
	must(t, os.Truncate(path, 9000))
	if _, err := Open(path, Options{Check: true}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "truncated") {
		t.Fatalf("got %v", err)
	}
}

func TestAFailedSalvageStillMovesTheDamagedFileAside(t *testing.T) {
	for name, salvage := range map[string]func(*pages.File, *bbolt.DB) error{
		"error": func(*pages.File, *bbolt.DB) error { return errors.New("oops") },
		"panic": func(*pages.File, *bbolt.DB) error { panic("oops") },
		"works": func(*pages.File, *bbolt.DB) error { return nil },
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		for i := range 2 {
			must(t, os.WriteFile(path, []byte("damaged"), 0o600))
			aside, err := Salvage(path, time.Unix(0, 0), salvage)
			if kept, _ := os.ReadFile(aside); string(kept) != "damaged" || (err != nil) != (name != "works") {
				t.Errorf("%s %d: %q holds %q, %v", name, i, aside, kept, err)
			}
			if left, _ := filepath.Glob(path + ".new"); len(left) > 0 {
				t.Errorf("%s: left %v", name, left)
			}
			must(t, open(t, path).Close())
			must(t, os.Remove(path))
		}
	}
}

func TestAFileThatIsMostlyEmptyIsMadeSmallerAtOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	for i := range 40 {
		must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			_, _ = b.NextSequence()
			return errors.Join(b.Put(fmt.Append(nil, i), make([]byte, 100_000)), b.Put(fmt.Append(nil, "e", i), nil))
		}))
	}
	for i := range 38 {
		must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete(fmt.Append(nil, i)) }))
	}
	if used := db.Used(); used > 1<<20 || db.Size() < 4<<20 {
		t.Fatalf("%d of %d bytes used", used, db.Size())
	}
	must(t, db.Close())
	must(t, os.WriteFile(path+".compact", []byte("of a crash"), 0o600))
	db, err := Open(path, Options{Check: true, CompactAbove: 1 << 20})
	must(t, err)
	if size := db.Size(); size > 1<<20 {
		t.Errorf("%d bytes", size)
	}
	if !has(t, db, "39") || !has(t, db, "e3") || has(t, db, "3") {
		t.Error("other keys than before")
	}
	_ = db.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket(bucket).Sequence(); n != 40 {
			t.Errorf("sequence %d", n)
		}
		return nil
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Open(path, Options{LockTimeout: time.Millisecond}); !errors.Is(err, ErrInUse) {
		t.Errorf("the new file is not locked: %v", err)
	}
	must(t, db.Do(t.Context(), put("more")))
	must(t, db.Close())
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestAFailedSyncFailsItsCommitAndNoOther swaps bbolt's handle for a pipe, which cannot be synced: either sync of a
// commit fails as it does on a disk that reports EIO. Writing goes on working, as bbolt kept that apart.
func TestAFailedSyncFailsItsCommitAndNoOther(t *testing.T) {
	for name, meta := range map[string]bool{"of the pages": false, "of the first page": true} {
		path := filepath.Join(t.TempDir(), "x.db")
		db := open(t, path)
		must(t, db.Do(t.Context(), put("before")))
		r, w, err := os.Pipe()
		must(t, err)
		handle, write := privateOf[*os.File](db.bolt, "file"), writeAtOf(db.bolt)
		file, original := *handle, *write
		*write = func(b []byte, at int64) (int, error) {
			if first := at < 2*int64(os.Getpagesize()); first == meta {
				*handle = w
			}
			return original(b, at)
		}
		for i := range 3 {
			if err := db.Do(t.Context(), put(fmt.Sprint("failed", i))); err == nil {
				t.Errorf("%s: a commit that is not on disk was acknowledged", name)
			}
		}
		*handle, *write = file, original
		_ = errors.Join(r.Close(), w.Close())
		for i := range 50 {
			must(t, db.Do(t.Context(), put(fmt.Sprint("after", i))))
		}
		must(t, db.Close())
		db, err = Open(path, Options{Check: true})
		must(t, err)
		for _, key := range []string{"before", "after0", "after49"} {
			if !has(t, db, key) {
				t.Errorf("%s: %s is missing", name, key)
			}
		}
		must(t, db.Close())
	}
}

func privateOf[T any](db *bbolt.DB, field string) *T {
	return (*T)(unsafe.Pointer(reflect.ValueOf(db).Elem().FieldByName(field).UnsafeAddr()))
}

func writeAtOf(db *bbolt.DB) *func([]byte, int64) (int, error) {
	ops := reflect.ValueOf(db).Elem().FieldByName("ops")
	return (*func([]byte, int64) (int, error))(unsafe.Pointer(ops.FieldByName("writeAt").UnsafeAddr()))
}
