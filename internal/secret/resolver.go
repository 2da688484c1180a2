package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Resolver reads references. File secrets are read again at most once a second, so a mounted Kubernetes Secret that
// changes is followed; environment secrets are fixed for the life of a process.
type Resolver struct {
	files sync.Map // path → *cachedFile
	vault func(context.Context, Ref) (Value, error)
	now   func() time.Time
}

// cachedFile is lock-free while what was read is fresh; then one caller reads and the others wait for it.
type cachedFile struct {
	latest atomic.Pointer[fileReading]
	mu     sync.Mutex
}

type fileReading struct {
	at    time.Time
	value Value
	err   error
}

const fileTTL = time.Second

// NewResolver returns a resolver of env: and file: references.
func NewResolver() *Resolver { return &Resolver{now: time.Now} }

// UseVault makes read resolve vault: references. It must be called before the first of them is resolved.
func (r *Resolver) UseVault(read func(context.Context, Ref) (Value, error)) { r.vault = read }

// Resolve reads the secret ref points to. Its errors name the reference, never the secret, and no host path beyond
// what the reference itself says. ctx bounds the wait for a secret that comes from afar.
func (r *Resolver) Resolve(ctx context.Context, ref Ref) (Value, error) {
	name := string(ref)
	switch scheme := ref.Scheme(); {
	case scheme == "env":
		if v := os.Getenv(name[len("env:"):]); v != "" {
			return Value{[]byte(v)}, nil
		}
		return Value{}, fmt.Errorf("%s is not set", ref)
	case scheme == "file":
		return r.file(ref, name[len("file:"):])
	case scheme == "vault" && r.vault != nil:
		return r.vault(ctx, ref)
	}
	return Value{}, fmt.Errorf("%s: nothing is configured that reads this kind of reference", ref)
}

func (r *Resolver) file(ref Ref, path string) (Value, error) {
	entry, ok := r.files.Load(path)
	if !ok {
		entry, _ = r.files.LoadOrStore(path, new(cachedFile))
	}
	c := entry.(*cachedFile)
	if f := c.fresh(r.now()); f != nil {
		return f.value, f.err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := r.now()
	f := c.fresh(now)
	if f == nil {
		f = &fileReading{at: now}
		f.value, f.err = readFile(ref, path)
		c.latest.Store(f)
	}
	return f.value, f.err
}

// fresh is what was read within the last second, nil when nothing was.
func (c *cachedFile) fresh(now time.Time) *fileReading {
	if f := c.latest.Load(); f != nil && now.Sub(f.at) <= fileTTL {
		return f
	}
	return nil
}

// readFile reads a file that may be replaced meanwhile. The kubelet swaps a mounted Secret by one rename and then
// removes the folder that the old link led into: who followed that link a moment ago finds nothing, once.
func readFile(ref Ref, path string) (Value, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return Value{}, fmt.Errorf("%s cannot be read: %w", ref, err)
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return Value{}, fmt.Errorf("%s is empty", ref)
	}
	return Value{b}, nil
}
