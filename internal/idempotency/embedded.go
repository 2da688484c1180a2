package idempotency

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
)

// EmbeddedOptions changes how an embedded store works; the zero value is what a sidecar wants.
type EmbeddedOptions struct {
	// UnknownTTL is how long a key stays unknown when the process that held it died, or when its lease ran out and
	// nobody came back; default 24 h.
	UnknownTTL time.Duration
	// SweepEvery is the time between removals of expired records; default 1 min, negative for never.
	SweepEvery time.Duration
	// MaxBytes bounds what the file holds: beyond it, outcomes are kept without their bodies; default no bound.
	MaxBytes int64
	// Now is the clock; default time.Now.
	Now func() time.Time
}

const (
	defaultUnknownTTL = 24 * time.Hour
	defaultSweepEvery = time.Minute
)

func (o EmbeddedOptions) withDefaults() EmbeddedOptions {
	if o.UnknownTTL <= 0 {
		o.UnknownTTL = defaultUnknownTTL
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = defaultSweepEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Embedded is the Store of a sidecar that has no Redis: a file that one process holds.
//
// Claims live in memory and on disk, finished keys on disk alone. Every step is on disk, synced, before it is
// answered; see groupcommit for how callers share that cost. The file's lock proves that the owners of an earlier
// process are gone: their claims are of unknown outcome from the moment the file is opened.
//
// An owner whose lease ran out may still finish, release or abandon as long as nobody took the key over: what it knows
// is better than nothing. Waiters are not woken by the end of a lease.
type Embedded struct {
	options EmbeddedOptions
	db      *groupcommit.DB
	shards  [shardCount]shard
	corrupt atomic.Int64
	swept   atomic.Int64

	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

const shardCount = 64

// A shard guards the keys that share the first bits of their scope, also while their records are read from disk: what
// a Begin found there still holds when it puts its claim in place.
type shard struct {
	mu     sync.Mutex
	claims map[Scope]*claim
}

// A claim is a key in flight.
type claim struct {
	record
	owner Owner
	done  chan struct{}
	busy  bool // a step of this claim is on its way to the disk: neither granted away nor taken over meanwhile
}

// OpenEmbedded opens the store at path, which is created, with its folders, when missing. Errors name the path; one
// that wraps groupcommit.ErrInUse means that another process holds the file.
func OpenEmbedded(path string, o EmbeddedOptions) (*Embedded, error) {
	db, err := groupcommit.Open(path, groupcommit.Options{})
	if err != nil {
		return nil, fmt.Errorf("open the key store: %w", err)
	}
	e := &Embedded{options: o.withDefaults(), db: db, stop: make(chan struct{})}
	for i := range e.shards {
		e.shards[i].claims = make(map[Scope]*claim)
	}
	if err := e.recover(); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("recover the key store %s: %w", path, err)
	}
	if e.options.SweepEvery > 0 {
		e.stopped.Go(e.sweepUntilStopped)
	}
	return e, nil
}

// Close ends the sweeping and closes the file. Claims that are still held become unknown at the next open.
func (e *Embedded) Close() error {
	e.once.Do(func() { close(e.stop) })
	e.stopped.Wait()
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("close the key store: %w", err)
	}
	return nil
}

// EmbeddedStats is what a scrape may show of an embedded store.
type EmbeddedStats struct {
	InFlight  int   // keys held by calls of this process
	Corrupt   int64 // damaged records met since the store was opened; each is treated as of unknown outcome
	Swept     int64 // expired records removed since the store was opened
	FileBytes int64 // size of the file; it never shrinks
}

// Stats returns the present numbers. It is cheap enough for every scrape.
func (e *Embedded) Stats() EmbeddedStats {
	s := EmbeddedStats{Corrupt: e.corrupt.Load(), Swept: e.swept.Load(), FileBytes: e.db.Size()}
	for i := range e.shards {
		e.shards[i].mu.Lock()
		s.InFlight += len(e.shards[i].claims)
		e.shards[i].mu.Unlock()
	}
	return s
}

func (e *Embedded) shard(scope Scope) *shard { return &e.shards[scope[0]%shardCount] }
