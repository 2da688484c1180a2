package alert

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

const (
	lookGap  = 200 * time.Millisecond // least time between two looks at the source, however often somebody kicks
	minDelay = time.Second            // after the first POST that failed
	maxDelay = 30 * time.Second       // longest the backoff grows to
	// maxAsked bounds what a target may ask for by Retry-After.
	maxAsked = 5 * time.Minute
)

// target tells one server. Only its own goroutine touches it, but for kicks.
type target struct {
	format
	book    book
	source  func() []Group
	client  *http.Client
	observe func(target string, err error)
	log     *slog.Logger
	now     func() time.Time

	kicks            chan struct{} // holds one
	stopped, aborted context.Context
	failures         int // in a row
}

func newTarget(c Config, f format, stopped, aborted context.Context) *target {
	return &target{
		format: f, book: book{interval: c.GroupInterval, entries: map[key]*entry{}}, source: c.Source, client: c.Client,
		observe: c.Observe, log: c.Log, now: c.Now, kicks: make(chan struct{}, 1), stopped: stopped, aborted: aborted,
	}
}

func (t *target) run() {
	for t.stopped.Err() == nil {
		t.pause(t.round())
	}
}

// round looks once and tells what is due. It returns how long to rest: first deaf to kicks, then until the next one.
func (t *target) round() (deaf, rest time.Duration) {
	now := t.now()
	t.book.see(t.source(), now)
	for batch := range slices.Chunk(t.book.due(now), t.batch) {
		if t.stopped.Err() != nil {
			return 0, 0
		}
		if err := t.tell(batch, now); err != nil {
			return t.backoff(err), 0
		}
	}
	return lookGap, t.book.rest(t.now()) - lookGap
}

// tell sends one POST.
func (t *target) tell(batch []notice, now time.Time) error {
	for _, n := range batch {
		t.book.sending(n, now)
	}
	err := post(t.aborted, t.client, t.format, t.encode(batch, now))
	t.observe(t.name, err)
	t.note(err)
	if err != nil {
		return err
	}
	for _, n := range batch {
		t.book.taken(n, now)
	}
	return nil
}

// note logs the first failure and the end of failing, not every one between.
func (t *target) note(err error) {
	switch {
	case err == nil && t.failures > 0:
		t.log.Info("alerts are taken again", "target", t.name, "failures", t.failures)
	case err != nil && t.failures == 0:
		t.log.Warn("alerts are not taken", "target", t.name, "error", err)
	}
	if t.failures++; err == nil {
		t.failures = 0
	}
}

// backoff is how long to leave a failing target alone: exponential, with equal jitter, or longer if it asked for that.
func (t *target) backoff(err error) time.Duration {
	delay := min(minDelay<<min(t.failures-1, 10), maxDelay)
	delay = delay/2 + rand.N(delay/2)
	if r := (*refusal)(nil); errors.As(err, &r) {
		delay = max(delay, min(r.retryAfter, maxAsked))
	}
	return delay
}

// pause returns after deaf and rest, sooner after a kick during rest, and at once when the alerter closes.
func (t *target) pause(deaf, rest time.Duration) {
	select {
	case <-t.stopped.Done():
		return
	case <-time.After(deaf):
	}
	select {
	case <-t.stopped.Done():
	case <-t.kicks:
	case <-time.After(rest):
	}
}
