package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/policy"
)

// ErrUnknownAdapter is returned for a name that is not configured.
var ErrUnknownAdapter = errors.New("no adapter has this name or id")

// ErrBreakerOff is returned for an adapter whose breaker is switched off.
var ErrBreakerOff = errors.New("this adapter's breaker is off")

var _ Controller = (*Server)(nil)

// Status implements Controller.
func (s *Server) Status() Status {
	stats := s.deps.Letters.Stats()
	out := Status{Version: s.version, Started: s.started, Ready: s.Ready(), Draining: s.draining.Load(), Reload: *s.reload.Load(),
		Spool: SpoolStatus{Letters: map[string]int{}, Bytes: stats.Bytes, MaxBytes: stats.MaxBytes}}
	for state, n := range stats.ByState {
		out.Spool.Letters[string(state)] = n
	}
	if !stats.Oldest.IsZero() {
		out.Spool.Oldest = &stats.Oldest
	}
	if out.Spool.Lost, out.Spool.Failing = stats.Lost, stats.Failing; stats.Lost > 0 {
		out.Spool.LastLost = &stats.LastLost
	}
	out.Accepted = s.acceptedStatus()
	out.Redis, out.Sink, out.Vault = s.redisStatus(), s.sinkStatus(), s.vaultStatus()
	for _, a := range s.adapters() {
		one := a.status(stats.OpenByAdapter[a.identity.ID])
		one.Totals = Totals(s.deps.Metrics.Adapter(a.identity.ID).Totals())
		out.Adapters = append(out.Adapters, one)
	}
	return out
}

// acceptedStatus sums up over adapters; nil when there is nothing and can be nothing.
func (s *Server) acceptedStatus() *AcceptedStatus {
	if s.deps.Accepted == nil {
		return nil
	}
	stats := s.deps.Accepted.Stats()
	out := &AcceptedStatus{Bytes: stats.Bytes, MaxBytes: stats.MaxBytes, Damaged: stats.Damaged, Failing: stats.Failing,
		Uncopied: stats.Uncopied, TakenOver: stats.TakenOver, Lost: stats.Lost}
	for _, a := range stats.ByAdapter {
		out.Waiting += a.Waiting
		out.Running += a.Running
		if out.Oldest == nil || a.Oldest.Before(*out.Oldest) {
			out.Oldest = &a.Oldest
		}
	}
	if stats.Bytes == 0 && stats.Damaged == 0 && !slices.ContainsFunc(s.adapters(), (*adapter).async) {
		return nil
	}
	return out
}

func (s *Server) adapters() []*adapter {
	if snapshot := s.snapshot.Load(); snapshot != nil {
		return snapshot.ordered
	}
	return nil
}

func (a *adapter) status(letters int) AdapterStatus {
	check := a.check()
	if why := a.host.NoCredentials(); why != "" {
		check.Message += ": " + why // for the operator; /health does not name references
	} else if check.Message == oldToken {
		check.Message += ": " + a.host.OldToken()
	}
	if why := a.host.StaleTLS(); why != "" {
		check.Message = strings.TrimPrefix(check.Message+"; "+why, "; ")
	}
	out := AdapterStatus{Name: a.identity.Name, ID: a.identity.ID, Version: a.identity.Version, Upstream: a.identity.Origin + a.identity.Base,
		Listen: a.listen, Health: check.Status, Message: check.Message, Breaker: BreakerStatus{State: "off"},
		InFlight: a.host.InFlight(), OpenLetter: letters, Secrets: a.secrets(), Check: a.checkStatus()}
	if b := a.host.Breaker; b != nil {
		out.Breaker = BreakerStatus{State: b.State().String(), Failures: b.Failures(), Manual: b.Held()}
		if since := b.Since(); !since.IsZero() && out.Breaker.State != policy.BreakerClosed.String() {
			out.Breaker.Since = &since
		}
		if left := b.Remaining(); left > 0 {
			out.Breaker.RetryAfter = left.Round(time.Millisecond).String()
		}
	}
	if l := a.host.Limiter; l != nil {
		tokens, tenants := l.Level()
		out.Limiter = &LimiterStatus{Capacity: l.Settings().Capacity, Rate: l.Settings().RefillRate, Tokens: tokens, Tenants: tenants}
	}
	return out
}

// Ready implements Controller: serving and not draining.
func (s *Server) Ready() bool { return s.ready.Load() && !s.draining.Load() }

// SetBreaker implements Controller.
func (s *Server) SetBreaker(name string, action BreakerAction) error {
	a := s.find(name)
	if a == nil {
		return ErrUnknownAdapter
	}
	b := a.host.Breaker
	if b == nil {
		return ErrBreakerOff
	}
	switch action {
	case BreakerOpen:
		b.Open()
	case BreakerClose:
		b.Close()
	case BreakerReset:
		b.Reset()
	default:
		return fmt.Errorf("%s is not one of open, close, reset", action)
	}
	return nil
}

// find looks an adapter up by name, else by id.
func (s *Server) find(name string) *adapter {
	for _, a := range s.adapters() {
		if a.identity.Name == name {
			return a
		}
	}
	for _, a := range s.adapters() {
		if strings.EqualFold(a.identity.ID, name) {
			return a
		}
	}
	return nil
}

// Document is the configuration in force; nil before the first.
func (s *Server) Document() *config.Document {
	if snapshot := s.snapshot.Load(); snapshot != nil {
		return snapshot.document
	}
	return nil
}

// Drain is how long calls in flight may take after the sidecar was told to stop, as configured now.
func (s *Server) Drain() time.Duration { return s.snapshot.Load().document.Drain.D() }
