package dlq

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"
)

// failSyncs makes bbolt sync a pipe, which fails as a disk with EIO does, until restore.
func failSyncs(t *testing.T, s *Spool) (restore func()) {
	t.Helper()
	field := func(of reflect.Value, name string) unsafe.Pointer {
		return unsafe.Pointer(of.Elem().FieldByName(name).UnsafeAddr())
	}
	bolt := *(**bbolt.DB)(field(reflect.ValueOf(s.db), "bolt"))
	handle := (**os.File)(field(reflect.ValueOf(bolt), "file"))
	write := (*func([]byte, int64) (int, error))(unsafe.Pointer(reflect.ValueOf(bolt).Elem().FieldByName("ops").FieldByName("writeAt").UnsafeAddr()))
	r, w, err := os.Pipe()
	must(t, err)
	file, original := *handle, *write
	*write = func(b []byte, at int64) (int, error) { // the last of a commit is that of a first page: all else is written
		if at < 2*int64(os.Getpagesize()) {
			*handle = w
		}
		return original(b, at)
	}
	return func() {
		*handle, *write = file, original
		_ = errors.Join(r.Close(), w.Close())
	}
}

// TestAfterAFailedCommitTheNumbersAreTrue: the commit failed for its caller, but all of it was written before its
// last sync failed, so the letter is there.
func TestAfterAFailedCommitTheNumbersAreTrue(t *testing.T) {
	s := openSpool(t, Config{Outbox: true, segment: -1})
	put(t, s, letter("before"))
	restore := failSyncs(t, s)
	for i := range 3 {
		if err := s.Put(t.Context(), letter(fmt.Sprint("failed", i))); err == nil {
			t.Error("a letter that is not on disk was acknowledged")
		}
	}
	restore()
	put(t, s, letter("after"))
	want := 0
	must(t, s.Each(Filter{}, func(*Letter) bool { want++; return true }))
	got := s.Stats()
	if got.ByState[Dead] != want || got.Outbox != want || got.Lost != 3 {
		t.Errorf("%d letters, %+v", want, got)
	}
	must(t, s.Close())
	s = openSpool(t, s.config)
	after := s.Stats()
	if after.ByState[Dead] != want || after.Bytes != got.Bytes || after.Damaged != "" {
		t.Errorf("after a reopen %+v, before %+v", after, got)
	}
	if found, _ := filepath.Glob(filepath.Join(s.config.Dir, "*.damaged*")); len(found) > 0 {
		t.Errorf("moved aside: %v", found)
	}
}
