package groupcommit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fsm-integrations/sidecar/internal/groupcommit/pages"
)

// check looks at the pages of the file, if there is one. It reads the file's pages without their values once, under
// bbolt's own lock: what another process is writing would look damaged.
func check(path string, timeout time.Duration) error {
	f, err := lock(path, timeout)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Size() == 0 { // a start that was interrupted: bbolt makes it a store
		return nil
	}
	if _, err := pages.Open(f, info.Size()).Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Salvage puts a new file in the place of the damaged one at path. The damaged one is kept, unchanged, under the name
// it returns; salvage copies what can be read of it. Should salvage fail, or panic, the new file is empty, or there is
// none, and aside is returned with the error. The new file has lost the position in its journal, if it has one: all that
// the journal still holds is applied once more. A crash in the middle leaves the damaged file where it was.
//
// Only when the damaged file cannot be moved aside, or another process uses it (ErrInUse), is aside empty.
func Salvage(path string, now time.Time, salvage func(from *pages.File, to *bbolt.DB) error) (aside string, err error) {
	f, err := lock(path, defaultLockTimeout)
	if err != nil {
		return "", fmt.Errorf("salvage %s: %w", path, err)
	}
	defer f.Close()
	fresh := path + ".new"
	failed := build(f, fresh, salvage)
	absent := failed != nil && build(f, fresh, func(*pages.File, *bbolt.DB) error { return nil }) != nil
	if aside, err = moveAside(path, now); err != nil {
		_ = os.Remove(fresh)
		return "", fmt.Errorf("move the damaged %s aside: %w", path, err)
	}
	if absent {
		_, _ = os.Remove(path), os.Remove(fresh)
	} else {
		failed = errors.Join(failed, os.Rename(fresh, path))
	}
	return aside, errors.Join(failed, syncFolder(filepath.Dir(path)))
}

// build writes a new file at path with what salvage copies from f.
func build(f *os.File, path string, salvage func(*pages.File, *bbolt.DB) error) (err error) {
	defer recoverInto(&err)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	to, err := create(path)
	if err != nil {
		return err
	}
	defer to.Close() // closing twice is allowed
	if err := salvage(pages.Open(f, info.Size()), to); err != nil {
		return err
	}
	if err := to.Update(losePosition); err != nil {
		return err
	}
	return errors.Join(to.Sync(), to.Close())
}

// create makes an empty store that is not synced before Sync.
func create(path string) (*bbolt.DB, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType})
}

// moveAside gives the file a second name, so that there is one at path at any time.
func moveAside(path string, now time.Time) (aside string, err error) {
	for n := 1; n < 100; n++ {
		aside = path + ".damaged-" + now.UTC().Format("20060102T150405Z")
		if n > 1 {
			aside += fmt.Sprint("-", n)
		}
		if err = os.Link(path, aside); err == nil {
			return aside, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return aside, os.Rename(path, aside) // a file system without second names
		}
	}
	return aside, err
}
