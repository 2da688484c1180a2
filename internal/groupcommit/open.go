package groupcommit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Options changes how a file is opened; the zero value is what a sidecar wants.
type Options struct {
	LockTimeout   time.Duration // how long to wait for another process to let go of the file; default 1 s
	MaxBatch      int           // most operations in one commit; default 512
	MaxBatchBytes int           // most announced bytes in one commit, one operation may exceed it; default 4 MiB
	Check         bool          // look at every page before the file is trusted; then a damaged one is ErrDamaged
	CompactAbove  int64         // write a file anew at open that is larger than this and more than half empty; default never
	Journal       *Journal      // see Append; nil: none
}

const (
	defaultLockTimeout   = time.Second
	defaultMaxBatch      = 512
	defaultMaxBatchBytes = 4 << 20

	// A mapping costs addresses, not memory, but the file is grown to the mapping's size as long as that is small:
	// one MiB spares a new file its first five remappings without making an idle spool large.
	initialMapping = 1 << 20
)

func (o Options) withDefaults() Options {
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = defaultMaxBatchBytes
	}
	return o
}

// The errors that the errors of Open wrap.
var (
	ErrInUse   = errors.New("another sidecar uses it") // another process holds the file
	ErrDamaged = errors.New("it is damaged")           // only a salvage can read it, see Salvage
)

// Open opens the file at path, creating it (mode 0600) and its folders (mode 0700) when they are missing. A created
// file's name is on disk when Open returns. The errors of Open name the path: they are for whoever starts the
// process.
func Open(path string, o Options) (*DB, error) {
	o = o.withDefaults()
	if err := makeFolders(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create the folder of %s: %w", path, err)
	}
	db := &DB{options: o, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	if err := db.openChecked(path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		_ = db.bolt.Close()
		return nil, fmt.Errorf("sync the folder of %s: %w", path, err)
	}
	db.openJournal()
	go db.write()
	return db, nil
}

// openChecked opens the file, after a look at its pages and a compaction if they are asked for.
func (db *DB) openChecked(path string) error {
	if db.options.Check {
		if err := check(path, db.options.LockTimeout); err != nil {
			return err
		}
	}
	if err := db.openFile(path); err != nil {
		return err
	}
	if size := db.Size(); db.options.CompactAbove <= 0 || size <= db.options.CompactAbove || size <= 2*db.Used() {
		return nil
	}
	return db.compact(path)
}

// openFile opens the bbolt file and keeps its handle, which heal needs. A damaged file can make bbolt panic.
func (db *DB) openFile(path string) (err error) {
	defer func() {
		if err != nil && db.file != nil {
			_ = db.file.Close() // after a panic of bbolt; else it is closed already
		}
	}()
	defer recoverInto(&err)
	defer faultsPanic()()
	db.bolt, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         db.options.LockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMapping,
		NoStatistics:    false, // Used reads them
		// The list of free pages is written with each commit. Without it every rollback and every start would walk
		// the whole file: a full disk, where each commit rolls back, would then stall the process.
		NoFreelistSync: false,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			db.file = f
			return f, err
		},
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrInUse
	case err == nil && !isFile(db.file, path): // replaced by another process that has just opened it
		return errors.Join(ErrInUse, db.bolt.Close())
	}
	return err
}

// isFile reports whether f is the file that path names now.
func isFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// makeFolders is os.MkdirAll with mode 0700 that also puts each created name on disk.
func makeFolders(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("not a directory")}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolders(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
