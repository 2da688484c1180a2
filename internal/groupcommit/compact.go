package groupcommit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// compactBatch bounds what one commit of a compaction holds in memory.
const compactBatch = 4 << 20

// compact writes the open file anew without its free pages and opens the new one. Until the new file is complete and
// on disk the old one stays in its place, locked. Want of room, the usual failure, leaves the old one open.
func (db *DB) compact(path string) error {
	fresh := path + ".compact"
	if err := copyTo(fresh, db.bolt); err != nil {
		_ = os.Remove(fresh)
		return nil
	}
	old := db.bolt
	defer old.Close() // it holds the lock until the new one is open
	if err := os.Rename(fresh, path); err != nil {
		_ = os.Remove(fresh)
		return fmt.Errorf("put the compacted file in place: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	return db.openFile(path)
}

func copyTo(path string, from *bbolt.DB) (err error) {
	defer recoverInto(&err)
	defer faultsPanic()()
	to, err := create(path)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := bbolt.Compact(to, from, compactBatch); err != nil {
		return err
	}
	return errors.Join(to.Sync(), to.Close())
}
