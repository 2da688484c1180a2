package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Resolver reads references. File secrets are read again at most once a second, so a mounted Kubernetes Secret that
// changes is followed; environment secrets are fixed for the life of a process.
type Resolver struct {
	files sync.Map // path → *cachedFile
	now   func() time.Time
}

type cachedFile struct {
	mu    sync.Mutex
	read  time.Time
	value Value
	err   error
}

const fileTTL = time.Second

// NewResolver returns a resolver of env: and file: references.
func NewResolver() *Resolver { return &Resolver{now: time.Now} }

// Resolve reads the secret ref points to. Its errors name the reference, never the secret, and no host path beyond
// what the reference itself says. ctx bounds the wait for a secret that comes from afar.
func (r *Resolver) Resolve(_ context.Context, ref Ref) (Value, error) {
	name := string(ref)
	switch ref.Scheme() {
	case "env":
		if v := os.Getenv(name[len("env:"):]); v != "" {
			return Value{[]byte(v)}, nil
		}
		return Value{}, fmt.Errorf("%s is not set", ref)
	case "file":
		return r.file(ref, name[len("file:"):])
	}
	return Value{}, fmt.Errorf("%s: this kind of reference is not available yet", ref)
}

func (r *Resolver) file(ref Ref, path string) (Value, error) {
	entry, ok := r.files.Load(path)
	if !ok {
		entry, _ = r.files.LoadOrStore(path, new(cachedFile))
	}
	c := entry.(*cachedFile)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := r.now(); c.read.IsZero() || now.Sub(c.read) > fileTTL {
		c.read = now
		c.value, c.err = readFile(ref, path)
	}
	return c.value, c.err
}

func readFile(ref Ref, path string) (Value, error) {
	b, err := os.ReadFile(path)
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
