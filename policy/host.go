package policy

import (
	"net/url"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/oauth"
	"github.com/fsm-integrations/sidecar/internal/recent"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
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
	budget   *budget
	tokens   *oauth.Sources
	engine   *engine
	live     *live
	checks   *checks         // nil: no active checks
	recent   *recent.Log     // nil: nothing is remembered
	series   *recent.Adapter // in recent

	fetchesTokens bool // some policy of this configuration does
}

// live is what changes with every exchange.
type live struct {
	inFlight      atomic.Int64
	lastLatency   atomic.Int64 // nanoseconds of the last answered attempt
	lastEnd       atomic.Int64 // when the last attempt ended, in Unix nanoseconds; 0 before the first
	lastFailure   atomic.Pointer[string]
	noCredentials atomic.Pointer[string]
	oldToken      atomic.Pointer[string]
}

// HostConfig is what a Host is made from.
type HostConfig struct {
	Identity *Identity
	Upstream *url.URL
	Settings *Settings
	Shared   *shared.Client // nil: limits are this sidecar's alone
	Recent   *recent.Log    // for the status page; nil: nothing is remembered
	// BreakerChanged is told of every change of the breaker's state. It is called with the breaker locked.
	BreakerChanged func(id *Identity, change BreakerChange)
	// TLSKept is told when changed TLS files cannot be used, so that those of before stay, and with nil when they can.
	TLSKept func(id *Identity, why error)
}

// NewHost builds the state of one external system, taking from earlier (which may be nil) what is still right. It
// changes nothing of earlier, so a configuration that fails later leaves no trace.
func NewHost(c HostConfig, earlier *Host) (*Host, error) {
	h := &Host{Identity: c.Identity, settings: c.Settings.Host, connect: c.Settings.Timeout.Connect, upstream: c.Upstream.String(),
		recent: c.Recent, series: c.Recent.Adapter(c.Identity.Name)}
	if earlier != nil {
		h.budget, h.live, h.tokens = earlier.budget, earlier.live, earlier.tokens
	} else {
		h.budget, h.live, h.tokens = newBudget(time.Now), new(live), oauth.NewSources()
	}
	h.Breaker = deriveBreaker(c, earlier)
	h.Limiter = deriveLimiter(c, earlier)
	h.checks = deriveChecks(c, earlier)
	if earlier != nil && earlier.connect == h.connect && earlier.upstream == h.upstream &&
		reflect.DeepEqual(earlier.settings.TLS, h.settings.TLS) && reflect.DeepEqual(earlier.settings.Egress, h.settings.Egress) {
		h.engine = earlier.engine
		return h, nil
	}
	kept := func(why error) {
		if c.TLSKept != nil {
			c.TLSKept(c.Identity, why)
		}
	}
	engine, err := newEngine(c.Upstream, &h.settings, h.connect.D(), kept)
	h.engine = engine
	return h, err
}

// StaleTLS says why the TLS files of before are still in use; "" when those of now are.
func (h *Host) StaleTLS() string { return h.engine.files.Failed() }

// deriveBreaker keeps a breaker whose settings are the same; one that was open stays open under new settings.
func deriveBreaker(c HostConfig, earlier *Host) *Guard {
	s := c.Settings.Host.Breaker
	if s == nil {
		return nil
	}
	if earlier != nil && earlier.Breaker != nil && earlier.Breaker.settings == *s {
		return earlier.Breaker
	}
	g := NewGuard(*s)
	if c.BreakerChanged != nil {
		g.changed = func(change BreakerChange) { c.BreakerChanged(c.Identity, change) }
	}
	if earlier == nil || earlier.Breaker == nil {
		return g
	}
	switch {
	case earlier.Breaker.Held():
		g.Open()
	case earlier.Breaker.State() != BreakerClosed:
		g.trip()
	}
	return g
}

func deriveLimiter(c HostConfig, earlier *Host) *Limiter {
	s := c.Settings.Host.RateLimit
	if s == nil {
		return nil
	}
	if earlier != nil && earlier.Limiter != nil && earlier.Limiter.settings == *s {
		return earlier.Limiter
	}
	return NewLimiter(*s, c.Shared, c.Identity.Name)
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

// LastAttempt is when the last attempt ended; zero before the first.
func (h *Host) LastAttempt() time.Time {
	if at := h.live.lastEnd.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// LastFailure says how the last attempt failed; "" when it did not.
func (h *Host) LastFailure() string {
	if s := h.live.lastFailure.Load(); s != nil {
		return *s
	}
	return ""
}

// failed remembers that the last attempt failed.
func (l *live) failed(how string) { l.lastFailure.Store(&how) }

// answered remembers how the last answered attempt went: one that the breaker counts as a failure is one.
func (l *live) answered(took time.Duration, resp *wire.Response) {
	l.lastLatency.Store(int64(took))
	if judgements[classify(resp, nil)].breaker == failure {
		l.failed("the external system answered " + strconv.Itoa(resp.Status))
	} else if l.lastFailure.Load() != nil {
		l.lastFailure.Store(nil)
	}
}

// noteCredentials remembers whether the last call found its credentials.
func (l *live) noteCredentials(err error) { note(&l.noCredentials, err) }

// noteToken remembers why the last call's access token could not be renewed yet, if it could not.
func (l *live) noteToken(err error) { note(&l.oldToken, err) }

func note(where *atomic.Pointer[string], err error) {
	switch {
	case err != nil:
		why := err.Error()
		where.Store(&why)
	case where.Load() != nil:
		where.Store(nil)
	}
}

// NoCredentials says why the last call had no credentials; "" when it had, or needs none.
func (h *Host) NoCredentials() string {
	if s := h.live.noCredentials.Load(); s != nil {
		return *s
	}
	return ""
}

// OldToken says why the access token in use could not be renewed yet; "" when it could, or there is none.
func (h *Host) OldToken() string {
	if s := h.live.oldToken.Load(); s != nil && h.fetchesTokens {
		return *s
	}
	return ""
}
