package proxy

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/policy"
)

// autoReplays replay letters without being asked (dlq.auto_replay): one goroutine for each adapter that wants it.
//
// It begins when the adapter's breaker closes or probes, and looks now and then while it is not open. One letter goes at a time,
// the oldest first, only to a provider that honours keys and within provider_ttl, at a small part of the adapter's limit.
// It pauses when a letter fails, longer each time in a row.
type autoReplays struct {
	server *Server
	pauses autoPauses

	mu      sync.Mutex
	stopped bool
	running map[string]*autoReplay // by adapter name
	done    sync.WaitGroup
}

// autoPauses are the waits of automatic replays.
type autoPauses struct {
	look         time.Duration // between two looks for letters
	first, most  time.Duration // after a failure in a row, doubled each time
	again, later time.Duration // until a letter that failed is tried again, doubled each time
}

func builtInAutoPauses() autoPauses {
	return autoPauses{look: 30 * time.Second, first: 10 * time.Second, most: 5 * time.Minute, again: time.Minute, later: time.Hour}
}

// autoReplay is that of one adapter.
type autoReplay struct {
	adapter string
	changed chan struct{} // holds a token when the breaker has opened or closed
	stop    context.CancelFunc
}

// autoWho is who automatic replays are put down to.
const autoWho = "sidecar"

// watch begins for adapters that want it now, and ends for the others.
func (r *autoReplays) watch(snapshot *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := map[string]bool{}
	for _, a := range snapshot.ordered {
		wanted[a.identity.Name] = a.autoReplayed() && !r.stopped
	}
	for name, one := range r.running {
		if !wanted[name] {
			one.stop()
			delete(r.running, name)
		}
	}
	for name := range wanted {
		if wanted[name] && r.running[name] == nil {
			r.start(name)
		}
	}
}

func (r *autoReplays) start(name string) {
	ctx, stop := context.WithCancel(r.server.base)
	one := &autoReplay{adapter: name, changed: make(chan struct{}, 1), stop: stop}
	r.running[name] = one
	r.done.Go(func() { r.run(ctx, one) })
}

// breakerChanged is told when calls to an adapter are stopped, and when they succeed again. It does not wait.
func (r *autoReplays) breakerChanged(adapter string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.running[adapter]; one != nil {
		select {
		case one.changed <- struct{}{}:
		default:
		}
	}
}

// stop ends all of them, and does not wait: what is under way goes on to its end, as a call does.
func (r *autoReplays) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, one := range r.running {
		one.stop()
	}
}

func (r *autoReplays) run(ctx context.Context, one *autoReplay) {
	failures := 0 // in a row
	for {
		succeeded, failed := r.sweep(ctx, one.adapter)
		if succeeded {
			failures = 0
		}
		if failed {
			failures++
		}
		changed := one.changed
		if failures > 0 { // or each letter that opens the breaker would be followed by the next as soon as it closes
			changed = nil
		}
		timer := time.NewTimer(r.pause(one.adapter, failures))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pause is the time until the next look. In an outage without other calls a letter is the probe of the breaker: nothing
// else would ever close it.
func (r *autoReplays) pause(adapter string, failures int) time.Duration {
	if failures > 0 {
		return doubled(r.pauses.first, r.pauses.most, failures)
	}
	if a := r.server.find(adapter); a != nil && a.host.Breaker != nil {
		if left := a.host.Breaker.Remaining(); left > 0 {
			return min(left+time.Millisecond, r.pauses.look)
		}
	}
	return r.pauses.look
}

// doubled is first, doubled for each n after 1, and at most most.
func doubled(first, most time.Duration, n int) time.Duration {
	for ; n > 1 && first < most; n-- {
		first *= 2
	}
	return min(first, most)
}

// sweep replays the letters of an adapter until there are no more, one fails, or the breaker opens.
func (r *autoReplays) sweep(ctx context.Context, name string) (succeeded, failed bool) {
	a := r.server.find(name)
	if a == nil || r.server.deps.Letters.Stats().OpenByAdapter[a.identity.ID] == 0 {
		return false, false
	}
	pace := rate.NewLimiter(autoRate(a.host.Limiter), 1)
	err := r.server.deps.Letters.Each(dlq.Filter{Adapter: a.identity.ID, States: []dlq.State{dlq.Dead, dlq.Forwarded}}, func(l *dlq.Letter) bool {
		if !r.due(l, time.Now()) {
			return true
		}
		if b := a.host.Breaker; b != nil && b.State() == policy.BreakerOpened || pace.Wait(ctx) != nil {
			return false
		}
		// Not ctx: what is sent goes on to its end.
		result, err := r.server.Replay(context.WithoutCancel(ctx), l.ID, ReplayOptions{Who: autoWho, auto: true})
		switch {
		case err != nil:
			r.server.log().Error("automatic replay", "letter_id", l.ID, "error", err.Error())
			failed = true
		case result.Result == resultFailed, result.Retryable:
			failed = true
		case result.Result != resultRefused: // a letter that is refused waits for a person, and holds up nobody
			succeeded = true
		}
		return !failed
	})
	if err != nil {
		r.server.log().Error("automatic replay", "adapter_id", a.identity.ID, "error", err.Error())
	}
	return succeeded, failed
}

// due reports whether a letter may be replayed by itself now.
func (r *autoReplays) due(l *dlq.Letter, now time.Time) bool {
	w := r.server.resend(l, ReplayOptions{})
	if w.impossible() != "" || !w.settings.AutoReplayed() || w.forgotten() {
		return false
	}
	tries, last := 0, time.Time{}
	for _, row := range l.Audit {
		if row.Action == dlq.ActionReplay && row.Who == autoWho {
			tries, last = tries+1, row.Time
		}
	}
	return tries == 0 || !hopeless(l) && now.Sub(last) >= doubled(r.pauses.again, r.pauses.later, tries)
}

// hopeless reports whether the external system has last refused the call itself: the same call will be refused again.
func hopeless(l *dlq.Letter) bool {
	n := len(l.Attempts)
	if n == 0 {
		return false
	}
	status := l.Attempts[n-1].Status
	return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429
}

// autoReplayed reports whether any calls of an adapter are replayed by themselves.
func (a *adapter) autoReplayed() bool {
	wanted := a.settings.AutoReplayed()
	for i := range a.operations {
		wanted = wanted || a.operations[i].settings.AutoReplayed()
	}
	return wanted
}

// The bounds of the rate of automatic replays, in letters a second.
const (
	leastAutoRate = 1
	mostAutoRate  = 10
)

// autoRate leaves nine tenths of the limit to the application, or of a small one half.
func autoRate(l *policy.Limiter) rate.Limit {
	if l == nil {
		return leastAutoRate
	}
	refill := l.Settings().RefillRate
	return rate.Limit(min(max(refill/10, leastAutoRate), refill/2, mostAutoRate))
}
