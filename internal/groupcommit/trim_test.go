package groupcommit

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

func TestWhatWasTrimmedIsReadAgain(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	value := bytes.Repeat([]byte("v"), 100_000)
	keys := make([]string, 2*trimAbove/len(value))
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		must(t, db.Do(t.Context(), func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(keys[i]), value) }))
	}
	if db.Size() <= trimAbove {
		t.Fatalf("the file has %d bytes: nothing is trimmed", db.Size())
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, key := range keys {
				err := db.View(func(tx *bbolt.Tx) error {
					got := tx.Bucket(bucket).Get([]byte(key))
					db.Trim(tx)
					if !bytes.Equal(got, value) {
						return errors.New("another value than was written")
					}
					return nil
				})
				if err != nil {
					t.Error(key, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestManyWritersAndReaders(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("%d/%d", w, i)
				if err := db.Do(t.Context(), put(key)); err != nil {
					t.Error(err)
				}
				if !has(t, db, key) {
					t.Errorf("%s is missing", key)
				}
			}
		})
	}
	wg.Wait()
}
