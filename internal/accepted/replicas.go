package accepted

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// Sharing says how a store lets other sidecars of its application take over what it holds.
type Sharing struct {
	Client *shared.Client // nil: nothing is shared
	// MaxBytes bounds the body of an exchange that is copied: a larger one waits for its own sidecar; default 1 MiB.
	MaxBytes int
	// MaxAnswer bounds the body of an answer that others show: a larger one is read at its own sidecar alone; default
	// 256 KiB.
	MaxAnswer int
	// Liveness is for how long a sidecar may be silent before others take over what it holds; default 10 s. It says
	// five times as often that it lives.
	Liveness time.Duration
	// TookOver is told how many exchanges came from a sidecar that is gone. nil: nobody wants to know.
	TookOver func(from string, exchanges int)
}

// replicas is what makes a store one of several. Each exchange that has not ended has a copy in Redis, with an owner: the
// sidecar that may send it. See docs/decisions/0017.
type replicas struct {
	Sharing
	store   *Store
	me      string // of this store, over restarts
	scripts scripts

	mu      sync.Mutex
	last    time.Time // of the last time Redis heard that this sidecar lives, by this process' clock
	since   time.Time // from when on that was never too long ago
	estates []string  // sidecars whose heir this one is
	audit   bool      // what Redis says we own is to be compared with what is on disk
	pending map[string]*entry
	ended   map[string]struct{}
	work    chan struct{}
	joined  sync.Once
	left    sync.Once
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	took    atomic.Int64
	lost    atomic.Int64
}

// copyState is what Redis has of an exchange that has not ended.
type copyState uint8

const (
	notCopied copyState = iota // nothing, for certain
	maybeCopied
	copied
)

const (
	defaultMaxCopy   = 1 << 20
	defaultMaxAnswer = 256 << 10
	defaultLiveness  = 10 * time.Second
	// memory is how long Redis keeps who was there and what they owned, after the last change.
	memory = 31 * 24 * time.Hour
	// maxUntold bounds the ends that Redis is yet to be told of. More are found when what Redis knows is compared.
	maxUntold = 100_000
)

func newReplicas(s *Store, c Sharing, me string) *replicas {
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultMaxCopy
	}
	if c.MaxAnswer <= 0 {
		c.MaxAnswer = defaultMaxAnswer
	}
	if c.Liveness <= 0 {
		c.Liveness = defaultLiveness
	}
	r := &replicas{Sharing: c, store: s, me: me, scripts: newScripts(), pending: map[string]*entry{}, ended: map[string]struct{}{}, work: make(chan struct{}, 1)}
	r.life, r.stop = context.WithCancel(context.Background())
	return r
}

// Join makes the sidecar one of those that take over from each other, once. Before that, and without a Redis, it is alone.
func (s *Store) Join() {
	if r := s.replicas; r != nil {
		r.joined.Do(func() {
			r.running.Go(r.beatUntilStopped)
			r.running.Go(r.workUntilStopped)
		})
	}
}

// leave ends the work. What has not ended is the others' at once.
func (r *replicas) leave() {
	if r == nil {
		return
	}
	r.left.Do(func() {
		r.stop()
		r.running.Wait()
		if r.registered() {
			r.tellAll(context.Background())
			_, _ = r.run(context.Background(), r.scripts.leave, r.registry(), r.me, "") // or they find out by themselves
		}
	})
}

// run runs a script that no call waits for.
func (r *replicas) run(ctx context.Context, s *shared.Script, key string, args ...any) (any, error) {
	reply := r.Client.RunAllBehind(ctx, []shared.Call{{Script: s, Key: key, Args: args}})[0]
	return reply.Value, reply.Err
}

func (r *replicas) registry() string            { return r.Client.Key("sidecars") }
func (r *replicas) owned(sidecar string) string { return r.Client.Key("accepted", sidecar) }
func (r *replicas) exchange(id string) string   { return r.Client.Key("exchange", id) }

// registered reports whether the others know that this sidecar lives.
func (r *replicas) registered() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.last.IsZero() && r.store.config.Now().Sub(r.last) < r.Liveness
}

func (r *replicas) wake() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}

// changed notes that Redis is to be told of an exchange that has not ended.
func (r *replicas) changed(e *entry) {
	if r == nil || e.large {
		return
	}
	r.mu.Lock()
	r.pending[e.id] = e
	e.changes++
	r.mu.Unlock()
	r.wake()
}

// gone notes that an exchange ended here, or is somebody else's.
func (r *replicas) gone(e *entry, tell bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	delete(r.pending, e.id)
	if tell && len(r.ended) < maxUntold {
		r.ended[e.id] = struct{}{}
	}
	if e.arrived != nil {
		close(e.arrived)
		e.arrived = nil
	}
	r.mu.Unlock()
	r.wake()
}

// Copied waits until Redis has a copy of an exchange that was accepted just now, or ctx ends. That there is none is no
// fault: it is on this disk.
func (s *Store) Copied(ctx context.Context, id string) {
	r := s.replicas
	if r == nil || !r.Client.Up() || !r.registered() {
		return
	}
	s.mu.Lock()
	e := s.queue.entries[id]
	s.mu.Unlock()
	if e == nil || e.large {
		return
	}
	r.mu.Lock()
	if e.copy == copied || r.pending[id] == nil {
		r.mu.Unlock()
		return
	}
	if e.arrived == nil {
		e.arrived = make(chan struct{})
	}
	arrived := e.arrived
	r.mu.Unlock()
	select {
	case <-arrived:
	case <-ctx.Done():
	}
}

// uncopied counts what Redis does not have as it is on this disk. The store is locked.
func (r *replicas) uncopied(q *queue) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range q.entries {
		if e.copy != copied || r.pending[e.id] != nil {
			n++
		}
	}
	return n
}
