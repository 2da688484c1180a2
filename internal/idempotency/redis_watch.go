package idempotency

import (
	"time"
)

// A watch waits for the end of another process's claim, for all callers of this process. It asks Redis, ever more
// rarely: see docs/decisions/0008-redis-keys.md for why it is not told.
type watch struct {
	fingerprint Fingerprint
	token       string // of the claim
	done        chan struct{}
	asked       time.Time // when somebody last wanted to wait
}

const (
	firstLook    = 5 * time.Millisecond
	mostLook     = 250 * time.Millisecond
	patientAfter = 10 * time.Second // then it looks more rarely
	mostPatient  = time.Second
	// watchFor is how long a watch lasts after somebody wanted to wait; who waits longer is woken and asks again.
	watchFor = 30 * time.Second
)

// judge decides on a key that another process holds.
func (w *watch) judge(q Request) Decision {
	if w.fingerprint != q.Fingerprint {
		return Decision{Verdict: Reused}
	}
	w.asked = time.Now()
	return Decision{Verdict: InFlight, Done: w.done}
}

// watch returns a channel that is closed when the claim with this token may have ended. t is locked.
func (r *Redis) watch(t *table, q Request, token string) <-chan struct{} {
	w := &watch{fingerprint: q.Fingerprint, token: token, done: make(chan struct{}), asked: time.Now()}
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
	delete(t.watches, scope)
	close(w.done)
}

// lookUntilOver returns when the claim ended, when Redis has not said so for a liveness, when nobody waits any more,
// or when the store is closed.
func (r *Redis) lookUntilOver(t *table, w *watch, scope Scope) {
	pauses, start := backoff{next: firstLook, most: mostLook}, time.Now()
	heard := start
	for pauses.wait(r.life) {
		now := time.Now()
		if now.Sub(start) > patientAfter {
			pauses.most = mostPatient
		}
		reply, err := r.client.Run(r.life, r.scripts.watch, r.key(scope), w.token)
		if err == nil {
			heard = now
		}
		if err == nil && reply != int64(1) || now.Sub(heard) > r.options.Liveness || now.Sub(w.lastAsked(t)) > watchFor {
			return
		}
	}
}

func (w *watch) lastAsked(t *table) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return w.asked
}
