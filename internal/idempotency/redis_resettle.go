package idempotency

import (
	"context"
	"errors"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// postpone tries s again in the background, unless its key has been granted again meanwhile.
func (r *Redis) postpone(s *settlement) {
	t := r.table(s.scope)
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.holds[s.scope]; h == nil || h.settling != s {
		return
	}
	if t.closed {
		r.lost.Add(1)
		delete(t.holds, s.scope)
		return
	}
	r.pending.add(s)
}

// The pauses between two rounds of attempts.
const (
	firstRetry = 10 * time.Millisecond
	mostRetry  = time.Second
)

// settleUntilStopped tries what is pending again and again.
func (r *Redis) settleUntilStopped() {
	for {
		select {
		case <-r.life.Done():
			return
		case <-r.pending.added:
		}
		pauses := backoff{next: firstRetry, most: mostRetry}
		for more := true; more && pauses.wait(r.life); {
			var progress bool
			if more, progress = r.round(r.life); progress {
				pauses.next = firstRetry
			}
		}
	}
}

// flush gives what is pending a last chance, and returns how many had none.
func (r *Redis) flush() int {
	ctx, cancel := context.WithTimeout(context.Background(), r.options.CloseWithin)
	defer cancel()
	for more := true; more; {
		if more, _ = r.round(ctx); more && !(&backoff{next: firstRetry, most: firstRetry}).wait(ctx) {
			break
		}
	}
	left, _ := r.pending.size()
	r.lost.Add(int64(left))
	return left
}

// round tries once what has waited longest. progress means that Redis took some of it.
func (r *Redis) round(ctx context.Context) (more, progress bool) {
	for _, s := range r.pending.beyond() {
		r.giveUp(s)
	}
	batch := r.unexpired(r.pending.oldest())
	if len(batch) > 0 {
		replies := r.client.RunAllBehind(ctx, r.callsToSettle(batch))
		for i, s := range batch {
			switch err := taken(replies[i]); {
			case err == nil:
				progress = true
				r.pending.remove(s)
				r.recent.add(s)
				r.forget(s)
			case !errors.Is(err, shared.ErrDown):
				r.pending.failed(s)
			}
		}
	}
	n, _ := r.pending.size()
	return n > 0, progress
}

func (r *Redis) callsToSettle(batch []*settlement) []shared.Call {
	now, calls := r.options.Now(), make([]shared.Call, len(batch))
	for i, s := range batch {
		calls[i] = r.callSettle(s, now)
	}
	return calls
}

// unexpired gives up what is of no use any more.
func (r *Redis) unexpired(batch []*settlement) (left []*settlement) {
	now := r.options.Now()
	for _, s := range batch {
		if now.Before(s.until) {
			left = append(left, s)
			continue
		}
		r.pending.remove(s)
		r.giveUp(s)
	}
	return left
}

func (r *Redis) giveUp(s *settlement) {
	r.lost.Add(1)
	r.forget(s)
}
