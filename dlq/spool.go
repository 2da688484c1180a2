package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/seal"
)

// Config is what a spool needs to open.
type Config struct {
	Dir       string           // holds letters.db and letters.journal; created with mode 0700 when missing
	MaxBytes  int64            // what all letters together may count; default 1 GiB. The file is somewhat larger
	Retention time.Duration    // how long a letter is kept, measured from Metadata.Created; default 720 h, negative forever
	Now       func() time.Time // the clock of audit rows; default time.Now
	Seal      *seal.Sealer     // encrypts what the application sent; nil: new letters are kept as they are
	OmitBody  bool             // new letters are kept without their bodies, and cannot be replayed
	// Application marks new letters, so that several applications can share a sink: see Filter.Application. "": none.
	Application string
	Outbox      bool   // letters wait in the outbox for a sink, also those that are open and were never forwarded
	segment     int    // of the journal, for tests; 0: by MaxBytes, negative: no journal
	Changed     func() // called when something of Stats has changed, also when Put failed; must be quick; nil: nobody wants to know
}

const (
	defaultMaxBytes  = 1 << 30
	defaultRetention = 720 * time.Hour
	maxIDBytes       = 128
)

// The errors a caller may have to tell apart. Every other error means that the disk failed.
var (
	ErrFull        = errors.New("the spool is full")
	ErrNotFound    = errors.New("no such letter")
	ErrSealed      = errors.New("the letter is sealed with a key that is not configured")
	ErrBodyOmitted = errors.New("the letter was kept without its body")
	errDamaged     = errors.New("damaged letter")
)

// Spool keeps letters on disk. Its methods are safe for concurrent use; those that change something return when the
// change is on disk, and share the cost of that with other callers. Letters it returns belong to the caller.
// Its errors never name a path.
type Spool struct {
	config Config
	db     *groupcommit.DB
	tally  *tally

	ready    chan struct{} // see OutboxReady
	doubtful atomic.Bool   // a commit has failed since the letters were counted
	commit   *commit       // of whoever writes: that under way, or the last one
}

// NewID makes the id of a letter: a UUIDv7, so that ids sort by the time they were made.
func NewID() string { return uuid.Must(uuid.NewV7()).String() } // fails only with crypto/rand, which never does

// Open opens the spool in c.Dir, creating it when missing. Letters that cannot be read are moved aside and counted in
// Stats.Quarantined; everything else is there. A file that is damaged as such is moved aside, whole, and what can be
// read of it goes into a new one: Stats.Damaged tells. A file that is mostly empty is made smaller. Only the errors of
// Open name a path; one that wraps groupcommit.ErrInUse means that another process holds the spool.
func Open(c Config) (*Spool, error) {
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.Retention = cmp.Or(c.Retention, defaultRetention)
	if c.Now == nil {
		c.Now = time.Now
	}
	path := filepath.Join(c.Dir, "letters.db")
	s, err := open(path, c)
	if err == nil || !errors.Is(err, groupcommit.ErrDamaged) && !errors.Is(err, groupcommit.ErrPanic) {
		return s, err
	}
	damaged, err := salvage(path, c.Now(), err)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	if s, err = open(path, c); err != nil {
		return nil, err
	}
	s.tally.stats.Damaged = join(damaged, s.tally.stats.Damaged)
	return s, nil
}

func join(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "; " + second
}

// compactAbove is the size below which a file that is half empty is not worth writing anew.
const compactAbove = 64 << 20

func open(path string, c Config) (*Spool, error) {
	s := &Spool{config: c, tally: newTally(maphash.MakeSeed()), ready: make(chan struct{}, 1)}
	db, err := groupcommit.Open(path, groupcommit.Options{Check: true, CompactAbove: compactAbove, Journal: s.journal()})
	if err != nil {
		return nil, fmt.Errorf("open the spool (dlq.dir): %w", err)
	}
	s.db = db
	if err := s.load(context.Background()); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("read the spool in %s: %w", c.Dir, err)
	}
	s.tally.stats.Damaged = s.replay()
	return s, nil
}

// Close finishes what was handed over and closes the file.
func (s *Spool) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the spool: %w", err)
	}
	return nil
}

// Put keeps a letter; when it returns nil the letter is on disk. A letter whose id is kept already is left as it is,
// also when its state has changed since. An empty state means Dead, a zero Metadata.Created means now; l itself is
// not changed. When there is no room closed letters make way, then forwarded ones, the oldest of each first; ErrFull
// when that is not enough.
func (s *Spool) Put(ctx context.Context, l *Letter) error {
	err := s.keep(ctx, l)
	s.tally.tried(err, s.config.Now())
	if err != nil {
		s.changed()
	}
	return err
}

func (s *Spool) changed() {
	if s.config.Changed != nil {
		s.config.Changed()
	}
}

func (s *Spool) keep(ctx context.Context, l *Letter) error {
	if l.ID == "" || len(l.ID) > maxIDBytes {
		return fmt.Errorf("a letter's id has 1 to %d bytes, not %d", maxIDBytes, len(l.ID))
	}
	kept := *l
	kept.State = cmp.Or(kept.State, Dead)
	if kept.Metadata.Created.IsZero() {
		kept.Metadata.Created = s.config.Now()
	}
	kept.Metadata.Application = cmp.Or(kept.Metadata.Application, s.config.Application)
	if s.config.OmitBody {
		kept.OriginalMessage.omitBody()
	}
	sealed, body, err := pack(s.config.Seal, l.ID, &kept.OriginalMessage)
	if err != nil {
		return err
	}
	head, err := encodeHead(&kept, sealed, body)
	if err != nil {
		return err
	}
	w := writing{id: []byte(l.ID), head: head, body: body}
	w.summary, _ = decodeSummary(w.id, head)
	if s.tally.withoutRoom(w.summary.size, s.config.MaxBytes) && !s.Has(l.ID) {
		return ErrFull // known without a commit: a full spool must not cost an fsync per failed call
	}
	if kept, err := s.append(ctx, w); kept || err != nil {
		return err
	}
	return s.put(ctx, w)
}

// A writing is a letter on its way to the disk.
type writing struct {
	id, head, body []byte
	summary        summary
}

func (s *Spool) put(ctx context.Context, w writing) error {
	// Counted before it is there, so that a success that comes right after looks for it.
	s.tally.expectScope(w.summary, 1)
	defer s.tally.expectScope(w.summary, -1)
	s.tally.goesDirect(w.summary.size)
	defer s.tally.goesDirect(-w.summary.size)
	verdict, err := s.do(ctx, len(w.head)+len(w.body), func(t *transaction) (verdict, err error) {
		if t.letters.Get(w.id) != nil {
			return nil, nil
		}
		if verdict, err = t.makeRoom(w.summary.size, s.tally.roomAhead(t.commit.landed)); verdict != nil || err != nil {
			return verdict, err
		}
		return nil, t.insert(w)
	})
	if err != nil {
		return fmt.Errorf("put a letter in the spool: %w", err)
	}
	return verdict
}
