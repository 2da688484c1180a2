package idempotency

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// heartbeatBatch bounds the claims of one round trip, so that it fits one budget.
const heartbeatBatch = 256

// beatUntilStopped keeps the claims of this process alive in Redis. What fails is left to the next time: a claim lives
// for three.
func (r *Redis) beatUntilStopped() {
	every := r.options.Liveness / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-r.life.Done():
			return
		case <-ticker.C:
			holds := r.toBeat(every)
			for len(holds) > 0 {
				n := min(len(holds), heartbeatBatch)
				r.beat(holds[:n])
				holds = holds[n:]
			}
		}
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
			case h.settling != nil:
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
	for i, reply := range r.client.RunAll(r.life, calls) {
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
