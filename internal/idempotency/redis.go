package idempotency

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// ErrClosed is returned by a store that was closed.
var ErrClosed = errors.New("the key store is closed")

// RedisOptions changes how a store on Redis works; the zero value is what a sidecar wants.
type RedisOptions struct {
	// UnknownTTL is how long a key stays unknown when the process that held it died, or when its lease ran out and
	// nobody came back; default 24 h.
	UnknownTTL time.Duration
	// MaxBody bounds the body of an outcome that is kept, in bytes: a larger one is Omitted; default 256 KiB.
	MaxBody int
	// Liveness is how long a process may be silent before its claims are of unknown outcome; default 10 s. It says
	// that it lives five times as often.
	Liveness time.Duration
	// MaxPending and MaxPendingBytes bound the settlements that Redis did not take yet: beyond the bytes, the
	// newest lose their outcomes' bodies, beyond the number the oldest are given up; default 50,000 and 16 MiB.
	MaxPending, MaxPendingBytes int
	// CloseWithin is how long Close waits for Redis to take the pending settlements; default 1 s.
	CloseWithin time.Duration
	// Now is the clock that leases of this process go by; default time.Now. Everything in Redis goes by Redis' own.
	Now func() time.Time
}

func (o RedisOptions) withDefaults() RedisOptions {
	if o.UnknownTTL <= 0 {
		o.UnknownTTL = defaultUnknownTTL
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 256 << 10
	}
	if o.Liveness <= 0 {
		o.Liveness = 10 * time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 50_000
	}
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = 16 << 20
	}
	if o.CloseWithin <= 0 {
		o.CloseWithin = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Redis is the Store of sidecars that share a Redis.
//
// What this process holds, or has ended and Redis does not know yet, it keeps in a table of its own, in front of Redis:
// callers of one process wait for each other without asking Redis, and many that ask for one key at once ask it once.
//
// A claim is held in Redis only for as long as its process lives: RedisOptions.Liveness from its last heartbeat. Its
// lease bounds the heartbeats. An owner whose lease ran out, or whose claim Redis lost, may still finish, release or
// abandon as long as nobody took the key over. A step that Redis does not take returns an error and is tried again in
// the background; until then this process answers with it.
//
// With Request.FailOpen a key is granted, when Redis does not answer, on what this process alone knows: its own calls in
// flight, and the last few thousand that it ended.
type Redis struct {
	client  *shared.Client
	options RedisOptions
	scripts scripts
	shards  [shardCount]table
	pending pending
	recent  recent

	degraded, restored, lost atomic.Int64

	life    context.Context // of all goroutines
	stop    context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
}

// A table is what this process knows of the keys that share the first bits of their scope.
type table struct {
	mu      sync.Mutex
	holds   map[Scope]*hold
	asks    map[Scope]*ask
	watches map[Scope]*watch
	closed  bool
}

// NewRedis returns a store that asks client, which is not closed with it and has to outlive it.
func NewRedis(client *shared.Client, o RedisOptions) *Redis {
	o = o.withDefaults()
	r := &Redis{client: client, options: o, scripts: newScripts()}
	r.pending.init(o.MaxPending, o.MaxPendingBytes)
	r.recent.init()
	for i := range r.shards {
		r.shards[i] = table{holds: make(map[Scope]*hold), asks: make(map[Scope]*ask), watches: make(map[Scope]*watch)}
	}
	r.life, r.stop = context.WithCancel(context.Background())
	r.running.Go(r.beatUntilStopped)
	r.running.Go(r.settleUntilStopped)
	return r
}

// Close ends the heartbeats and waits for a moment until Redis took what is pending. Claims that are still held become
// unknown to others when the liveness is over. Whoever waits is woken.
//
// Its error tells how many outcomes Redis did not take: who asks another process for their keys runs them again.
func (r *Redis) Close() (err error) {
	r.once.Do(func() {
		for i := range r.shards {
			r.shards[i].close()
		}
		r.stop()
		r.running.Wait()
		if left := r.flush(); left > 0 {
			err = fmt.Errorf("the outcomes of used keys are lost, because Redis did not take them: %d keys", left)
		}
	})
	return err
}

func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, h := range t.holds {
		h.wake()
	}
}

func (r *Redis) table(scope Scope) *table { return &r.shards[scope[0]%shardCount] }

func (r *Redis) key(scope Scope) string { return r.client.Key("key", scope.String()) }

// RedisStats is what a scrape may show of a store on Redis.
type RedisStats struct {
	InFlight     int   // keys held by calls of this process
	Pending      int   // settlements that Redis has not taken yet
	PendingBytes int   // of their outcomes
	Lost         int64 // settlements given up
	Degraded     int64 // keys granted without Redis
	Restored     int64 // claims put back because Redis had lost them, or never had them
}

// Stats returns the present numbers. It is cheap enough for every scrape.
func (r *Redis) Stats() RedisStats {
	s := RedisStats{Lost: r.lost.Load(), Degraded: r.degraded.Load(), Restored: r.restored.Load()}
	s.Pending, s.PendingBytes = r.pending.size()
	for i := range r.shards {
		r.shards[i].mu.Lock()
		for _, h := range r.shards[i].holds {
			if h.settling == nil {
				s.InFlight++
			}
		}
		r.shards[i].mu.Unlock()
	}
	return s
}
