package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// outbox is what a Forwarder needs of a Spool.
type outbox interface {
	// Outbox returns the next n entries after one, in the order in which they were kept.
	Outbox(after uint64, n int) ([]Outgoing, error)
	// Forwarded removes entries that a sink has acknowledged.
	Forwarded(ctx context.Context, seqs []uint64) error
	// OutboxReady is told when there are new entries.
	OutboxReady() <-chan struct{}
}

// ForwarderConfig says what is forwarded where.
type ForwarderConfig struct {
	Spool      *Spool
	Sink       Sink          // closed by its owner, after the Forwarder
	MaxLetters int           // sent at a time; default 256
	MaxBytes   int           // sent at a time, counted by bodies; default 1 MiB. A larger letter goes alone
	MinDelay   time.Duration // the pause after a first failure; default 250 ms
	MaxDelay   time.Duration // the longest pause; default 30 s
	// Changed is told when the sink stops and starts taking letters; why is nil when it does. nil: nobody wants to
	// know.
	Changed func(up bool, why error)
	// Refused is told of a letter that the sink will never take. nil: nobody wants to know.
	Refused func(letterID string, why error)
}

// Forwarder moves letters from the spool to a sink, in the order in which they were kept, at least once. A letter
// leaves the spool's outbox only when the sink has acknowledged it. While the sink fails, everything stays in the spool
// and is tried again after a pause that grows.
//
// A letter that the sink refuses for good is passed over, so that it does not hold up all others: it is reported, it
// stays dead in the spool, and it is tried once more by the next process.
type Forwarder struct {
	config ForwarderConfig
	outbox outbox
	stop   context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // has one element when somebody flushes

	position // of the goroutine alone

	mu      sync.Mutex
	stats   ForwarderStats
	oldest  time.Time // when the oldest waiting entry was made; zero: nothing waits
	waiting []chan<- struct{}
}

// position is how far the goroutine has come.
type position struct {
	after    uint64   // the last entry dealt with
	unmarked []uint64 // acknowledged by the sink, still in the outbox
	limit    int      // letters to ask the spool for
}

const (
	defaultForwardLetters = 256
	defaultForwardBytes   = 1 << 20
	defaultMinDelay       = 250 * time.Millisecond
	defaultMaxDelay       = 30 * time.Second
	firstLimit            = 16
)

var errForwarderClosed = errors.New("the forwarder is closed")

// NewForwarder starts to forward what waits and what comes. Close must be called, before the spool and the sink are
// closed.
func NewForwarder(c ForwarderConfig) *Forwarder { return newForwarder(c, c.Spool) }

func newForwarder(c ForwarderConfig, from outbox) *Forwarder {
	c.MaxLetters = cmp.Or(c.MaxLetters, defaultForwardLetters)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultForwardBytes)
	c.MinDelay = cmp.Or(c.MinDelay, defaultMinDelay)
	c.MaxDelay = cmp.Or(c.MaxDelay, defaultMaxDelay)
	ctx, stop := context.WithCancel(context.Background())
	f := &Forwarder{config: c, outbox: from, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	f.limit = min(firstLimit, c.MaxLetters)
	go f.run(ctx)
	return f
}

// Close stops forwarding. A Send under way is broken off; what it sent may arrive again later.
func (f *Forwarder) Close() {
	f.stop()
	<-f.done
}

// Flush returns nil when everything that was kept before has been forwarded or refused. It does not wait for a pause to
// end. An error says that ctx ended first, and why the sink failed last, if it did.
func (f *Forwarder) Flush(ctx context.Context) error {
	flushed := make(chan struct{})
	f.mu.Lock()
	f.waiting = append(f.waiting, flushed)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it has been told
	}
	select {
	case <-flushed:
		return nil
	case <-f.done:
		return errForwarderClosed
	case <-ctx.Done():
	}
	err := ctx.Err()
	if s := f.Stats(); s.LastError != nil && !s.FailingSince.IsZero() {
		err = fmt.Errorf("%w: %w", err, s.LastError)
	}
	return fmt.Errorf("forward what is spooled: %w", err)
}
