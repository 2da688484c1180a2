package idempotency

import (
	"time"
)

// A watch waits for the end of another process's claim, for all callers of this process. It asks Redis, ever more
// rarely: see docs/decisions/0008-redis-keys.md for why it is not told.
type watch struct {
	fingerprint Fingerprint
	token       string // of the claim
	letterID    string
	done        chan struct{} // closed when sight changes
	asked       time.Time     // when somebody last wanted to wait
	sight       sight
}

// sight is what a watch sees of the claim.
type sight byte

const (
	held     sight = iota
	blind          // Redis does not answer
	vanished       // Redis has forgotten the key, and its owner has not put it back
)

const (
	firstLook    = 5 * time.Millisecond
	mostLook     = 250 * time.Millisecond
	patientAfter = 10 * time.Second // then it looks more rarely
	mostPatient  = time.Second
	// watchFor is how long a watch lasts after somebody wanted to wait; who waits longer is woken and asks again.
	watchFor = 30 * time.Second
	// blindAfter is how long Redis may be silent before nobody is made to wait for what cannot be seen.
	blindAfter = 500 * time.Millisecond
)

// judge decides on a key that another process holds; unsure means that Redis has to be asked. A call that is known to be
// in flight is never sent a second time because Redis fails, unless that does no harm.
func (w *watch) judge(q Request) (d Decision, unsure bool) {
	if w.fingerprint != q.Fingerprint {
		return Decision{Verdict: Reused}, false
	}
	w.asked = time.Now()
	switch {
	case w.sight == held:
		return Decision{Verdict: InFlight, Done: w.done}, false
	case q.Resend:
		return Decision{}, true
	case w.sight == vanished:
		return Decision{Verdict: Unknown, LetterID: w.letterID}, false
	}
	return Decision{Verdict: InFlight}, false
}

// watch returns a channel that is closed when the claim with this token may have ended. t is locked.
func (r *Redis) watch(t *table, q Request, token, letterID string) <-chan struct{} {
	w := &watch{fingerprint: q.Fingerprint, token: token, letterID: letterID, done: make(chan struct{}), asked: time.Now()}
	if t.closed {
		close(w.done)
		return w.done
	}
	t.watches[q.Scope] = w
	r.running.Go(func() {
		r.lookUntilOver(t, w, q.Scope)
		r.endWatch(t, w, q.Scope)
	})
	return w.done
}

func (r *Redis) endWatch(t *table, w *watch, scope Scope) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watches[scope] == w {
		delete(t.watches, scope)
	}
	if w.sight == held {
		close(w.done)
	}
}

// lookUntilOver returns when the claim ended, when nobody waits any more, or when the store is closed.
func (r *Redis) lookUntilOver(t *table, w *watch, scope Scope) {
	pauses, start := backoff{next: firstLook, most: mostLook}, time.Now()
	heard, there := start, start // when Redis last answered, and when it last knew the claim
	for pauses.wait(r.life) {
		reply, err := r.client.Run(r.life, r.scripts.watch, r.key(scope), w.token)
		now := time.Now()
		seen := held
		switch {
		case err != nil && now.Sub(heard) > blindAfter:
			seen = blind
		case err != nil:
		case reply == int64(1):
			heard, there = now, now
		case reply != int64(2):
			return
		case now.Sub(there) > r.options.Liveness/2: // two heartbeats and more
			seen, heard = vanished, now
		default: // its owner may put it back with its next heartbeat
			heard = now
		}
		if r.see(t, w, seen, err == nil); now.Sub(w.lastAsked(t)) > watchFor {
			return
		}
		if now.Sub(start) > patientAfter {
			pauses.most = mostPatient
		}
	}
}

// see notes what is seen now, and wakes who waits when that is nothing to wait for. Who is blind stays so until it hears.
func (r *Redis) see(t *table, w *watch, now sight, heard bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := w.sight
	if before == now || before != held && now == held && !heard {
		return
	}
	w.sight = now
	switch {
	case before == held:
		close(w.done)
	case now == held:
		w.done = make(chan struct{})
	}
}

func (w *watch) lastAsked(t *table) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return w.asked
}
