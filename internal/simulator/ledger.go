package simulator

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
)

// ledger is what a system that honours keys remembers of them.
type ledger struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is one key: what it was used for and, once done is closed, what came of it.
type entry struct {
	print  [sha256.Size]byte
	done   chan struct{}
	answer answer
}

// fingerprint tells whether a key is used again for the same call.
func fingerprint(c *call) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(c.request.Method+" "+c.request.URL.Path+"\n"), c.body...))
}

// do performs the call once per key: others with the same key wait for its answer, those with another content are
// refused. A call that was refused as invalid frees its key, since nothing came of it. The error is the waiter's.
func (l *ledger) do(ctx context.Context, key string, print [sha256.Size]byte, perform func() answer) (answer, bool, error) {
	l.mu.Lock()
	e, used := l.entries[key]
	if !used {
		e = &entry{print: print, done: make(chan struct{})}
		l.entries[key] = e
	}
	l.mu.Unlock()
	switch {
	case !used:
		l.finish(key, e, perform())
		return e.answer, false, nil
	case e.print != print:
		return statusError(http.StatusUnprocessableEntity, "key_reused", "the key was used for another request"), false, nil
	}
	select {
	case <-e.done:
		return e.answer, true, nil
	case <-ctx.Done():
		return answer{}, false, ctx.Err()
	}
}

func (l *ledger) finish(key string, e *entry, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.answer = a
	if a.status >= 400 {
		delete(l.entries, key)
	}
	close(e.done)
}
