package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/policy"
)

// healthChecks ask external systems how they are: one goroutine for each adapter that wants it. They end when the
// sidecar drains.
type healthChecks struct {
	server *Server

	mu      sync.Mutex
	stopped bool
	running map[string]*healthChecking // by adapter name
	done    sync.WaitGroup
}

// healthChecking is that of one adapter.
type healthChecking struct {
	host *policy.Host // whose checks they are
	stop context.CancelFunc
}

// watch begins for adapters that want it now, and ends for the others. Those whose settings are the same go on.
func (h *healthChecks) watch(snapshot *Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, one := range h.running {
		a := snapshot.byName[name]
		if a == nil || a.prober == nil || !a.host.SameChecks(one.host) {
			one.stop()
			delete(h.running, name)
		}
	}
	if h.stopped {
		return
	}
	for _, a := range snapshot.ordered {
		if a.prober == nil || h.running[a.identity.Name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(h.server.base)
		h.running[a.identity.Name] = &healthChecking{host: a.host, stop: stop}
		h.done.Go(func() { h.run(ctx, a.identity.Name, a.host) })
	}
}

// stop ends all of them.
func (h *healthChecks) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for _, one := range h.running {
		one.stop()
	}
}

// run checks until ctx ends. A reload may have brought another host, with new connections, for the same checks.
func (h *healthChecks) run(ctx context.Context, name string, host *policy.Host) {
	for {
		timer := time.NewTimer(host.NextCheck())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if a := h.server.find(name); a != nil && a.prober != nil && a.host.SameChecks(host) {
			before, now := a.prober.Check(ctx)
			h.tell(a, before, now)
		}
	}
}

// tell logs what on-call wants to read in order: when a system went down by its checks, and when it was back.
func (h *healthChecks) tell(a *adapter, before, now policy.CheckState) {
	switch {
	case before.Verdict == now.Verdict:
	case now.Verdict == policy.Down:
		h.server.log().Warn("health check down", "adapter_id", a.identity.ID, "status", now.Status, "error", now.Why)
	case before.Verdict == policy.Down:
		h.server.log().Info("health check up", "adapter_id", a.identity.ID, "status", now.Status, "down_for", now.Since.Sub(before.Since).Round(time.Millisecond).String())
	}
}
