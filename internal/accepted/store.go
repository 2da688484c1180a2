package accepted

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/seal"
)

// Config is what a store needs to open.
type Config struct {
	Dir      string           // holds exchanges.db; created with mode 0700 when missing
	MaxBytes int64            // what all exchanges together may count; default 1 GiB. The file is somewhat larger
	Seal     *seal.Sealer     // encrypts requests and answers; nil: new ones are kept as they are
	Sharing  Sharing          // with other sidecars
	Now      func() time.Time // default time.Now
}

const (
	defaultMaxBytes = 1 << 30
	// compactAbove is the size below which a file that is half empty is not worth writing anew.
	compactAbove = 64 << 20
)

// The errors a caller may have to tell apart. Every other error means that the disk failed.
var (
	ErrFull     = errors.New("the store of accepted exchanges is full")
	ErrNotFound = errors.New("no such exchange")
	ErrReused   = errors.New("the key belongs to another request")
)

// Store keeps accepted exchanges on disk and their order in memory. Its methods are safe for concurrent use; those that
// change something return when the change is on disk. Its errors never name a path.
type Store struct {
	config Config
	db     *groupcommit.DB
	ready  chan struct{} // see Ready

	replicas *replicas // nil: this store is alone

	mu      sync.Mutex
	queue   queue
	failing string // why the last Accept failed; "" when it did not
	damaged int    // exchanges that could not be read and were set aside since the store was opened
}

// Open opens the store in c.Dir, creating it when missing. What was under way when an earlier process ended waits
// again. A file that is damaged as such is moved aside, whole, and what can be read of it goes into a new one:
// Stats.Damaged tells. Only the errors of Open name a path; one that wraps groupcommit.ErrInUse means that another process holds the
// file.
func Open(c Config) (*Store, error) {
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	if c.Now == nil {
		c.Now = time.Now
	}
	path := filepath.Join(c.Dir, "exchanges.db")
	s, err := open(path, c)
	if err == nil || !errors.Is(err, groupcommit.ErrDamaged) && !errors.Is(err, groupcommit.ErrPanic) {
		return s, err
	}
	if err := salvage(path, c.Now()); err != nil {
		return nil, fmt.Errorf("open the store of accepted exchanges: %w", err)
	}
	if s, err = open(path, c); err != nil {
		return nil, err
	}
	s.damaged++ // nobody knows how many
	return s, nil
}

func open(path string, c Config) (*Store, error) {
	db, err := groupcommit.Open(path, groupcommit.Options{Check: true, CompactAbove: compactAbove})
	if err != nil {
		return nil, fmt.Errorf("open the store of accepted exchanges: %w", err)
	}
	s := &Store{config: c, db: db, ready: make(chan struct{}, 1), queue: newQueue()}
	if err := s.load(context.Background()); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("read the accepted exchanges in %s: %w", c.Dir, err)
	}
	return s, nil
}

// Close finishes what was handed over and closes the file.
func (s *Store) Close() error {
	s.replicas.leave()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the store of accepted exchanges: %w", err)
	}
	return nil
}

// Ready holds a token whenever Next may have something new to say.
func (s *Store) Ready() <-chan struct{} { return s.ready }

func (s *Store) wake() {
	select {
	case s.ready <- struct{}{}:
	default: // whoever waits has been told already
	}
}

// Stats is what a scrape may show of the store.
type Stats struct {
	ByAdapter map[string]AdapterStats // by adapter name; one without waiting or running exchanges has no entry
	Bytes     int64                   // what all exchanges count against MaxBytes
	MaxBytes  int64
	Failing   string // why the last Accept failed; "" when it did not
	Damaged   int    // exchanges that could not be read and were set aside since the store was opened

	Shared    bool  // other sidecars may take over what is here
	Uncopied  int   // exchanges that have not ended and of which Redis has no copy, or not of their last state
	TakenOver int64 // exchanges that came from sidecars that were gone, since the store was opened
	Lost      int64 // that others took over from here
}

// AdapterStats is one adapter's part of Stats.
type AdapterStats struct {
	Waiting, Running int
	Oldest           time.Time // when the oldest of them was accepted
}

// Stats returns the present numbers. It is cheap enough for every scrape.
func (s *Store) Stats() Stats {
	account := s.account()
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{ByAdapter: s.queue.stats(), Bytes: account.bytes, MaxBytes: s.config.MaxBytes, Failing: s.failing, Damaged: s.damaged}
	if r := s.replicas; r != nil {
		stats.Shared, stats.Uncopied, stats.TakenOver, stats.Lost = true, r.uncopied(&s.queue), r.took.Load(), r.lost.Load()
	}
	return stats
}
