package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/fsm-integrations/sidecar/internal/config"
)

// watcher tells when the content of the configuration has changed: of its file, or of a schema it names.
//
// It watches directories: a watch on a file itself goes silent after the first swap of a Kubernetes ConfigMap, which
// replaces a symbolic link beside the file.
type watcher struct {
	changed chan struct{}
	inner   *fsnotify.Watcher
}

// settle is how long a file must rest before it is read, so that a write in several steps is read once, whole.
const settle = 100 * time.Millisecond

// watch watches a configuration whose content had the digest seen before it was loaded: what has changed since is told.
func watch(file string, seen []byte, log *slog.Logger) (*watcher, error) {
	inner, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := inner.Add(filepath.Dir(file)); err != nil {
		_ = inner.Close()
		return nil, err
	}
	w := &watcher{changed: make(chan struct{}), inner: inner}
	go w.run(file, seen, log)
	return w, nil
}

// run compares the content whenever the directories were quiet again after a change.
func (w *watcher) run(file string, seen []byte, log *slog.Logger) {
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	var tell chan struct{}
	for {
		select {
		case _, open := <-w.inner.Events:
			if !open {
				return
			}
			quiet.Reset(settle)
		case err, open := <-w.inner.Errors:
			if !open {
				return
			}
			log.Warn("watching the configuration file", "error", err.Error())
		case <-quiet.C:
			files := config.Files(file)
			w.add(files, log) // first: what changes after the digest is told
			if now := digest(files); now != nil && !bytes.Equal(now, seen) {
				seen, tell = now, w.changed
			}
		case tell <- struct{}{}:
			tell = nil
		}
	}
}

// add watches the directories of the files from here on; one that is watched already stays so.
func (w *watcher) add(files []string, log *slog.Logger) {
	for _, path := range files {
		if err := w.inner.Add(filepath.Dir(path)); err != nil && !errors.Is(err, fsnotify.ErrClosed) {
			log.Warn("a schema is not watched; SIGHUP still reloads it", "path", path, "error", err.Error())
		}
	}
}

// digest is that of the configuration file, the first, and of the schemas it names. It is nil when the first cannot be
// read, as in the middle of a swap; a schema that cannot be read counts as empty.
func digest(files []string) []byte {
	sum := sha256.New()
	for i, path := range files {
		content, err := readRegular(path)
		if err != nil && i == 0 {
			return nil
		}
		part := sha256.Sum256(content)
		sum.Write(part[:])
	}
	return sum.Sum(nil)
}

// readRegular does not open what may never end.
func readRegular(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	return os.ReadFile(path)
}

func (w *watcher) close() {
	if w.inner != nil {
		_ = w.inner.Close()
	}
}
