package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// courier delivers accepted exchanges in the background, through the chains that calls pass: some of each adapter at a
// time, the oldest first, those with the same order key one after the other.
type courier struct {
	server *Server
	store  *accepted.Store
	unkept *unkept
	start  sync.Once
	halted sync.Once
	stop   chan struct{} // closed when the server begins to drain
	ended  chan struct{} // closed when no more exchanges are started
}

const (
	// perAdapter is how many accepted exchanges of one adapter are under way at most.
	perAdapter = 8
	// The waits before a try that was not sent is made again, without their jitter.
	firstAgain = time.Second
	lastAgain  = time.Minute
	leastStall = 20 * time.Millisecond // of a tenant: a try is two fsyncs
)

func newCourier(s *Server, store *accepted.Store) *courier {
	return &courier{server: s, store: store, unkept: newUnkept(), stop: make(chan struct{}), ended: make(chan struct{})}
}

// begin starts the work, once. A nil courier has none.
func (c *courier) begin() {
	if c != nil {
		c.start.Do(func() { go c.run() })
	}
}

// join lets other sidecars take over what is accepted here, and this one what they leave. Without an adapter that accepts
// calls, and without any left of before, they are no concern of ours.
func (c *courier) join(async bool) {
	if c != nil && (async || len(c.store.Stats().ByAdapter) > 0) {
		c.store.Join()
	}
}

// halt starts no more tries and ends the waits of those under way, which the server waits for.
func (c *courier) halt() {
	if c == nil {
		return
	}
	c.halted.Do(func() { close(c.stop) })
	c.start.Do(func() { close(c.ended) }) // it was never begun
	<-c.ended
}

// resume ends the wait for an adapter that calls may reach again, or with "" for all.
func (c *courier) resume(adapter string) {
	if c != nil {
		c.store.Resume(adapter)
	}
}

func (c *courier) run() {
	defer close(c.ended)
	for {
		claim, wait := c.store.Next(perAdapter)
		if claim == nil {
			if !c.rest(wait) {
				return
			}
			continue
		}
		if !c.server.enter() {
			c.store.Return(claim)
			return
		}
		go func() {
			defer c.server.busy.Done()
			c.deliver(claim)
		}()
	}
}

// rest waits until there may be something to do; false means that there is nothing to do any more.
func (c *courier) rest(wait time.Duration) bool {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-c.store.Ready():
	case <-due:
	case <-c.stop:
		return false
	}
	return true
}

func (c *courier) stopping() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// deliver makes one try. It goes on although the server drains; the end of the drain cuts it off.
func (c *courier) deliver(claim *accepted.Claim) {
	ctx := context.WithoutCancel(c.server.base) // what a try came to is written whatever happens
	kept, err := c.store.Start(ctx, claim)
	switch {
	case errors.Is(err, accepted.ErrNotFound):
		c.unkept.take(claim.ID)
		c.server.log().Error("an accepted exchange could not be read and was set aside", "exchange_id", claim.ID)
	case err != nil:
		c.server.log().Error("an accepted exchange could not be started", "exchange_id", claim.ID, "error", err.Error())
		c.store.Pause(claim, backoff)
		c.store.Return(claim)
	default:
		c.held(ctx, claim, kept)
	}
}

// held makes one try unless another sidecar took the exchange over, or may have.
func (c *courier) held(ctx context.Context, claim *accepted.Claim, kept *accepted.Exchange) {
	held := c.store.Hold(ctx, claim)
	former, ended := c.unkept.take(claim.ID)
	switch {
	case held == accepted.Lost:
		c.server.log().Info("an accepted exchange was taken over by another sidecar", "exchange_id", claim.ID)
		if err := c.store.Drop(ctx, claim); err != nil {
			c.server.log().Error("an exchange that was taken over could not be dropped", "exchange_id", claim.ID, "error", err.Error())
			c.store.Pause(claim, backoff)
			c.store.Return(claim)
		}
	case ended:
		c.judge(ctx, claim, former)
	case held == accepted.Silent && !c.harmlessTwice(kept):
		c.judge(ctx, claim, outcome{again: &accepted.Put{Reason: string(problem.StoreUnavailable)}, wide: true})
	default:
		c.judge(ctx, claim, c.try(kept))
	}
}

// outcome is what a try came to: again, or an end.
type outcome struct {
	again *accepted.Put
	wide  bool          // again, and every other exchange of the adapter would meet the same
	after time.Duration // again, and not before
	end   accepted.End

	letter *dlq.Letter // of an end that is yet to be kept
	kept   bool        // that was tried to keep before
}

func (c *courier) judge(ctx context.Context, claim *accepted.Claim, o outcome) {
	if o.again == nil {
		if o.letter != nil {
			if !c.keep(ctx, claim, o) {
				return
			}
			o.end.Result.LetterID = o.letter.ID
		}
		c.finish(ctx, claim, o.end)
		return
	}
	wait := func(tries int) time.Duration { return min(max(backoff(tries), jittered(o.after)), jittered(lastAgain)) }
	switch {
	case c.stopping(): // due at once after the next start
	case o.again.Every > 0: // paced by the bucket, however often it was tried
		least := max(min(o.again.Every, firstAgain), leastStall) // who shares the bucket may have taken the token
		o.again.Due = time.Now().Add(jittered(min(max(o.after, least), lastAgain)))
	case o.wide:
		o.again.Due, o.again.Paused = c.store.Pause(claim, wait), true
	default:
		o.again.Due = time.Now().Add(wait(claim.Tries))
	}
	c.putBack(ctx, claim, *o.again)
}

func (c *courier) putBack(ctx context.Context, claim *accepted.Claim, p accepted.Put) {
	if err := c.store.PutBack(ctx, claim, p); err != nil {
		c.server.log().Error("an accepted exchange could not be put back", "exchange_id", claim.ID, "error", err.Error())
	}
}

// finish writes the end, again and again while the disk fails: the exchange was sent, and the application should learn
// what came of it. A response for which there is no room is left out.
func (c *courier) finish(ctx context.Context, claim *accepted.Claim, end accepted.End) {
	for n := 0; ; n++ {
		err := c.store.Finish(ctx, claim, end)
		if err == nil {
			return
		}
		if n == 0 {
			c.server.log().Error("the end of an accepted exchange could not be written", "exchange_id", claim.ID, "error", err.Error())
			end.Result.Body, end.Result.Omitted = nil, end.Result.Omitted || len(end.Result.Body) > 0
		}
		if !c.wait(backoff(n)) { // after the next start the store of keys knows what came of it
			return
		}
	}
}

// wait lasts for d; false means that the courier stops first.
func (c *courier) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.stop:
		return false
	}
}

// backoff is the wait after a number of vain tries, with jitter.
func backoff(tries int) time.Duration {
	return jittered(min(firstAgain<<min(tries, 10), lastAgain))
}

// jittered lengthens d by up to a fifth of itself.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*rand.Float64()/5)
}
