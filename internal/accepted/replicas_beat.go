package accepted

import (
	"context"
	"slices"
	"time"
)

// beatUntilStopped tells Redis that this sidecar lives, and hears of those that do not.
func (r *replicas) beatUntilStopped() {
	every := r.Liveness / 5
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.beat(r.life)
		select {
		case <-r.life.Done():
			return
		case <-tick.C:
		}
	}
}

// beat says that this sidecar lives. One that was silent for too long itself, because it or Redis was away, takes nobody
// for dead before all had the time to say that they live.
func (r *replicas) beat(ctx context.Context) {
	now := r.store.config.Now()
	r.mu.Lock()
	silent := r.last.IsZero() || now.Sub(r.last) >= r.Liveness
	inherit := "0"
	if !silent && now.Sub(r.since) >= r.Liveness {
		inherit = "1"
	}
	r.mu.Unlock()
	value, err := r.run(ctx, r.scripts.beat, r.registry(), r.me, r.Liveness.Milliseconds(), memory.Milliseconds(), inherit)
	reply := texts(value)
	if err != nil || len(reply) == 0 || reply[0] == "taken" {
		return
	}
	r.mu.Lock()
	r.last, r.estates = now, reply[1:]
	if silent {
		r.since = now
	}
	again := silent || reply[0] == "new"
	r.audit = r.audit || again
	r.mu.Unlock()
	if again { // Redis may have forgotten anything
		r.recopy()
		r.store.Resume("")
	}
	r.wake()
}

// recopy has everything told anew.
func (r *replicas) recopy() {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, e := range s.queue.entries {
		if e.large {
			continue
		}
		if e.copy == copied {
			e.copy = maybeCopied
		}
		r.pending[id] = e
	}
}

func texts(value any) (list []string) {
	parts, _ := value.([]any)
	for _, p := range parts {
		text, _ := p.(string)
		list = append(list, text)
	}
	return list
}

// workUntilStopped tells Redis what changes, and takes over what others left behind.
func (r *replicas) workUntilStopped() {
	for {
		select {
		case <-r.life.Done():
			return
		case <-r.work:
		}
		r.step(r.life)
	}
}

// step does what there is to do, and leaves what fails to the next sign of life.
func (r *replicas) step(ctx context.Context) {
	r.tellAll(ctx)
	r.mu.Lock()
	estates, audit := slices.Clone(r.estates), r.audit
	r.mu.Unlock()
	if audit && r.registered() {
		if err := r.inherit(ctx, r.me); err == nil {
			r.mu.Lock()
			r.audit = false
			r.mu.Unlock()
		}
	}
	for _, former := range estates {
		r.takeOver(ctx, former)
	}
}

// takeOver takes all that a sidecar left behind.
func (r *replicas) takeOver(ctx context.Context, former string) {
	if !r.registered() || r.inherit(ctx, former) != nil {
		return
	}
	if left, err := r.list(ctx, former); err != nil || len(left) > 0 { // it was not quite dead
		return
	}
	if _, err := r.run(ctx, r.scripts.leave, r.registry(), r.me, former); err != nil {
		return
	}
	r.mu.Lock()
	r.estates = slices.DeleteFunc(r.estates, func(name string) bool { return name == former })
	r.mu.Unlock()
}
