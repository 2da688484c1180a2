package main

import (
	"bytes"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher tells when the content of a file has changed.
//
// It watches the directory: a watch on the file itself goes silent after the first swap of a Kubernetes ConfigMap,
// which replaces a symbolic link beside the file.
type watcher struct {
	changed chan struct{}
	inner   *fsnotify.Watcher
}

// settle is how long a file must rest before it is read, so that a write in several steps is read once, whole.
const settle = 100 * time.Millisecond

func watch(file string, log *slog.Logger) (*watcher, error) {
	inner, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := inner.Add(filepath.Dir(file)); err != nil {
		_ = inner.Close()
		return nil, err
	}
	w := &watcher{changed: make(chan struct{}), inner: inner}
	go w.run(file, digest(file), log)
	return w, nil
}

// run compares the file's content whenever its directory was quiet again after a change.
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
			if now := digest(file); now != nil && !bytes.Equal(now, seen) {
				seen, tell = now, w.changed
			}
		case tell <- struct{}{}:
			tell = nil
		}
	}
}

// digest is nil when the file cannot be read, as in the middle of a swap.
func digest(file string) []byte {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(content)
	return sum[:]
}

func (w *watcher) close() {
	if w.inner != nil {
		_ = w.inner.Close()
	}
}
