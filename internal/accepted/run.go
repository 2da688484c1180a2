package accepted

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Claim is the right to one try of an exchange. Whoever has it must call Finish, PutBack or Return.
type Claim struct {
	ID      string
	Adapter string
	Tries   int // that were put back since the store was opened
	entry   *entry
}

// Next claims the exchange that is due first among the adapters with fewer than limit under way. Without one it
// returns how long to wait at most before asking again; 0 means until Ready.
func (s *Store) Next(limit int) (*Claim, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	e, at := s.queue.next(now, limit)
	if e == nil {
		if at.IsZero() {
			return nil, 0
		}
		return nil, max(at.Sub(now), time.Millisecond)
	}
	return &Claim{ID: e.id, Adapter: e.adapter, Tries: e.tries, entry: e}, 0
}

// Pause holds back everything of the claim's adapter, because what stopped one try would stop them all, and returns
// until when. delay is asked with the number of pauses since an exchange of this adapter ended; one that lasts is not
// made longer.
func (s *Store) Pause(c *Claim, delay func(tries int) time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := c.entry.lane, s.config.Now()
	if !l.paused.After(now) {
		l.paused = now.Add(delay(l.pauses))
		l.pauses++
	}
	return l.paused
}

// Resume ends the pause and the stalls of an adapter, or with "" of all: what stopped its exchanges may be over.
func (s *Store) Resume(adapter string) {
	s.mu.Lock()
	for name, l := range s.queue.lanes {
		if adapter == "" || name == adapter {
			l.paused, l.pauses = time.Time{}, 0
			l.unstall()
		}
	}
	s.mu.Unlock()
	s.wake()
}

// Start marks the exchange as running, on disk, and returns it: from then on it counts as sent if the process dies.
// One that cannot be read is set aside and its claim has ended: ErrNotFound.
func (s *Store) Start(ctx context.Context, c *Claim) (*Exchange, error) {
	x, err := s.start(ctx, c)
	if errors.Is(err, errDamaged) || errors.Is(err, ErrNotFound) {
		if err = s.quarantine(ctx, c); err == nil {
			err = ErrNotFound
		}
	}
	return x, err
}

func (s *Store) start(ctx context.Context, c *Claim) (x *Exchange, err error) {
	id := []byte(c.ID)
	err = s.change(ctx, c, func(t *transaction, r *record) (err error) {
		content, ok := body(t.Bucket(bucketBodies()), id, r.Body)
		if !ok {
			return errDamaged
		}
		if r.State == Running && !c.entry.unsent { // a process died over it
			r.Doubtful = true
		}
		if r.State, r.NextTry = Running, (time.Time{}); r.Since.IsZero() || !r.Doubtful {
			r.Since = r.Updated
		}
		if x, err = s.exchange(c.ID, r); err != nil {
			return err
		}
		return s.openBody(x, r, content)
	})
	return x, err
}

// change edits the record of a claimed exchange.
func (s *Store) change(ctx context.Context, c *Claim, edit func(*transaction, *record) error) error {
	id := []byte(c.ID)
	var verdict error
	err := s.do(ctx, 0, func(t *transaction) (err error) {
		r, err := read(t.Tx, id)
		if verdict = err; err != nil {
			return nil
		}
		r.Updated = s.config.Now()
		if verdict = edit(t, r); verdict != nil {
			return nil
		}
		return t.write(id, r)
	})
	if err == nil {
		err = verdict
	}
	if err != nil {
		return fmt.Errorf("change an accepted exchange: %w", err)
	}
	return nil
}

// Return gives a claim back: nothing was started.
func (s *Store) Return(c *Claim) { s.release(c, Put{}) }

func (s *Store) release(c *Claim, p Put) {
	s.mu.Lock()
	if p.Every > 0 {
		c.entry.lane.hold(c.entry.tenant, p.Due, p.Every)
	}
	if p.Paused || p.Every > 0 {
		p.Due = time.Time{}
	}
	s.queue.putBack(c.entry, p.Due)
	s.mu.Unlock()
	s.wake()
}

// Put is why and until when an exchange is put back.
type Put struct {
	Due    time.Time
	Paused bool // Due is the end of the adapter's pause: it is due when that ends, also when that is earlier
	// Every, when it is not 0, tells that all of the tenant's exchanges would meet the same: one of them, the oldest, is due
	// at Due, and after it one each Every.
	Every    time.Duration
	Reason   string
	Attempts int  // upstream, in this try
	Sent     bool // some of it may have reached the external system
}

// PutBack ends a try that must be made again. The claim has ended also when the disk failed: then the exchange counts
// as doubtful if the process dies before its next try has ended.
func (s *Store) PutBack(ctx context.Context, c *Claim, p Put) error {
	err := s.change(ctx, c, func(_ *transaction, r *record) error {
		r.State, r.NextTry, r.Reason = Waiting, p.Due, p.Reason
		r.Attempts += p.Attempts
		r.Doubtful = r.Doubtful || p.Sent
		return nil
	})
	c.entry.unsent = !p.Sent
	s.replicas.changed(c.entry)
	s.release(c, p)
	return err
}

// End is how an exchange ended.
type End struct {
	State    State
	Result   Result
	Attempts int  // upstream, in this try
	Held     bool // the key stands for this outcome: a call with the same key gets this exchange, not a new one
}

// Finish writes the end of an exchange. The request goes, its end is kept for TTL. When it fails the claim holds, so
// that it can be tried again. A record that was damaged meanwhile is set aside: then there is nothing to try again.
func (s *Store) Finish(ctx context.Context, c *Claim, e End) error {
	err := s.do(ctx, len(e.Result.Body), func(t *transaction) error { return s.finish(t, []byte(c.ID), e) })
	if errors.Is(err, errDamaged) || errors.Is(err, ErrNotFound) {
		return s.quarantine(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("finish an accepted exchange: %w", err)
	}
	s.replicas.gone(c.entry, true)
	s.mu.Lock()
	s.queue.remove(c.entry)
	s.mu.Unlock()
	s.wake()
	return nil
}

func (s *Store) finish(t *transaction, id []byte, e End) error {
	r, err := read(t.Tx, id)
	if err != nil {
		return err
	}
	before, now := t.sizeOf(id), s.config.Now()
	if err := s.shorten(string(id), r); err != nil {
		return err
	}
	end, body, err := s.sealAnswer(string(id), e.Result)
	if err != nil {
		return err
	}
	r.State, r.Updated, r.NextTry = e.State, now, time.Time{}
	r.Attempts += e.Attempts
	r.Turn++
	r.Result, end.Expires, end.Held = end, now.Add(r.TTL), e.Held
	value, err := r.encode()
	if err != nil {
		return err
	}
	if !e.Held {
		if err := t.freeScope(r.Scope, id); err != nil {
			return err
		}
	}
	size := int64(len(value) + len(body))
	t.bytes, t.ended = t.bytes+size-before, t.ended+size
	return errors.Join(
		t.Bucket(bucketHeads()).Put(id, value),
		putBody(t.Bucket(bucketAnswers()), id, body),
		t.Bucket(bucketBodies()).Delete(id),
		t.Bucket(bucketOpen()).Delete(integer(r.Sequence)),
		t.Bucket(bucketExpiries()).Put(expiryKey(end.Expires, id), integer(uint64(size))))
}

// quarantine sets an exchange aside that cannot be read, and ends its claim.
func (s *Store) quarantine(ctx context.Context, c *Claim) error {
	id, sequence := []byte(c.ID), integer(c.entry.sequence)
	if err := s.do(ctx, 0, func(t *transaction) error { return t.setAside(id, sequence) }); err != nil {
		return fmt.Errorf("set a damaged exchange aside: %w", err)
	}
	s.replicas.gone(c.entry, false)
	s.mu.Lock()
	s.queue.remove(c.entry)
	s.damaged++
	s.mu.Unlock()
	s.wake()
	return nil
}

func (t *transaction) setAside(id, sequence []byte) error {
	t.bytes -= t.sizeOf(id)
	if value := t.Bucket(bucketHeads()).Get(id); value != nil {
		if err := t.Bucket(bucketQuarantine()).Put(id, append([]byte(nil), value...)); err != nil {
			return err
		}
	}
	return errors.Join(t.Bucket(bucketHeads()).Delete(id), t.Bucket(bucketBodies()).Delete(id), t.Bucket(bucketOpen()).Delete(sequence))
}
