package idempotency

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// heartbeatBatch bounds the claims of one round trip, so that it fits one budget.
const heartbeatBatch = 256

// beatUntilStopped keeps the claims of this process alive in Redis. What fails is left to the next time: a claim lives
// for some five. When Redis is back, all are told at once that they live: it may have forgotten them.
func (r *Redis) beatUntilStopped() {
	every := r.options.Liveness / 5
	ticker := time.NewTicker(every / 8)
	defer ticker.Stop()
	up, last := true, time.Now()
	for {
		select {
		case <-r.life.Done():
			return
		case <-ticker.C:
		}
		wasUp := up
		if up = r.client.Up(); !up {
			continue
		}
		switch now := time.Now(); {
		case !wasUp:
			r.beatAll(r.toBeat(0))
		case now.Sub(last) >= every:
			last = now
			r.beatAll(r.toBeat(every))
		}
	}
}

func (r *Redis) beatAll(holds []*hold) {
	for len(holds) > 0 {
		n := min(len(holds), heartbeatBatch)
		r.beat(holds[:n])
		holds = holds[n:]
	}
}

// toBeat returns the calls in flight that are old enough to need it, and forgets those that nobody will hear of.
func (r *Redis) toBeat(age time.Duration) (holds []*hold) {
	now := r.options.Now()
	for i := range r.shards {
		t := &r.shards[i]
		t.mu.Lock()
		for scope, h := range t.holds {
			switch {
			case h.settling != nil && (h.settling.step != finish || !now.Before(h.until)):
			case h.settling != nil: // others wait for the outcome, which is on its way
				holds = append(holds, h)
			case !now.Before(h.until.Add(r.options.UnknownTTL)):
				h.wake()
				delete(t.holds, scope)
			case h.inFlight(now) && !h.lost && now.Sub(h.started) >= age:
				holds = append(holds, h)
			}
		}
		t.mu.Unlock()
	}
	return holds
}

func (r *Redis) beat(holds []*hold) {
	now, calls := r.options.Now(), make([]shared.Call, len(holds))
	for i, h := range holds {
		calls[i] = r.callHeartbeat(h, now)
	}
	for i, reply := range r.client.RunAllBehind(r.life, calls) {
		switch reply.Value {
		case "restored":
			r.restored.Add(1)
		case "lost":
			r.giveAway(holds[i])
		}
	}
}

// giveAway marks a claim that somebody else took over: who asks for the key has to ask Redis.
func (r *Redis) giveAway(h *hold) {
	t := r.table(h.scope)
	t.mu.Lock()
	defer t.mu.Unlock()
	h.lost = true
	h.wake()
}
