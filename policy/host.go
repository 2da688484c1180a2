package policy

import (
	"crypto/sha256"
	"net/url"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
)

// Host is what is remembered of one external system between exchanges. It outlives a reload: a new configuration
// derives a new Host that shares every part whose own settings did not change.
type Host struct {
	Identity *Identity
	Breaker  *Guard   // nil: off
	Limiter  *Limiter // nil: off

	settings HostSettings
	connect  units.Duration
	upstream string
	tlsFiles [sha256.Size]byte
	budget   *budget
	engine   *engine
	live     *live
}

// live is what changes with every exchange.
type live struct {
	inFlight    atomic.Int64
	lastLatency atomic.Int64 // nanoseconds of the last answered attempt
	lastFailure atomic.Pointer[string]
}

// HostConfig is what a Host is made from.
type HostConfig struct {
	Identity *Identity
	Upstream *url.URL
	Settings *Settings
}

// NewHost builds the state of one external system, taking from earlier (which may be nil) what is still right. It
// changes nothing of earlier, so a configuration that fails later leaves no trace.
func NewHost(c HostConfig, earlier *Host) (*Host, error) {
	h := &Host{Identity: c.Identity, settings: c.Settings.Host, connect: c.Settings.Timeout.Connect, upstream: c.Upstream.String(),
		tlsFiles: c.Settings.Host.TLS.digest()}
	if earlier != nil {
		h.budget, h.live = earlier.budget, earlier.live
	} else {
		h.budget, h.live = newBudget(time.Now), new(live)
	}
	h.Breaker = deriveBreaker(c.Settings.Host.Breaker, earlier)
	h.Limiter = deriveLimiter(c.Settings.Host.RateLimit, earlier)
	if earlier != nil && earlier.connect == h.connect && earlier.upstream == h.upstream &&
		reflect.DeepEqual(earlier.settings.TLS, h.settings.TLS) && earlier.tlsFiles == h.tlsFiles && reflect.DeepEqual(earlier.settings.Egress, h.settings.Egress) {
		h.engine = earlier.engine
		return h, nil
	}
	engine, err := newEngine(c.Upstream, h.settings.TLS, h.settings.Egress, h.connect.D())
	h.engine = engine
	return h, err
}

// deriveBreaker keeps a breaker whose settings are the same; one that was open stays open under new settings.
func deriveBreaker(s *Breaker, earlier *Host) *Guard {
	if s == nil {
		return nil
	}
	if earlier == nil || earlier.Breaker == nil {
		return NewGuard(*s)
	}
	if earlier.Breaker.settings == *s {
		return earlier.Breaker
	}
	g := NewGuard(*s)
	switch {
	case earlier.Breaker.Held():
		g.Open()
	case earlier.Breaker.State() != BreakerClosed:
		g.trip()
	}
	return g
}

func deriveLimiter(s *RateLimit, earlier *Host) *Limiter {
	if s == nil {
		return nil
	}
	if earlier != nil && earlier.Limiter != nil && earlier.Limiter.settings == *s {
		return earlier.Limiter
	}
	return NewLimiter(*s)
}

// Retire gives back what the successor (nil: nobody) did not take over. Exchanges in flight keep their connections.
func (h *Host) Retire(successor *Host) {
	if successor == nil || successor.engine != h.engine {
		h.engine.close()
	}
}

// InFlight is the number of exchanges under way.
func (h *Host) InFlight() int { return int(h.live.inFlight.Load()) }

// LastLatency is the duration of the last attempt that was answered; 0 before the first.
func (h *Host) LastLatency() time.Duration { return time.Duration(h.live.lastLatency.Load()) }

// LastFailure says how the last attempt failed; "" when it did not.
func (h *Host) LastFailure() string {
	if s := h.live.lastFailure.Load(); s != nil {
		return *s
	}
	return ""
}

// note remembers how the last attempt went.
func (l *live) note(took time.Duration, failure string) {
	if failure != "" {
		l.lastFailure.Store(&failure)
		return
	}
	l.lastLatency.Store(int64(took))
	if l.lastFailure.Load() != nil {
		l.lastFailure.Store(nil)
	}
}
