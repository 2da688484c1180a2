package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
		out.Adapters = append(out.Adapters, a.status(stats.OpenByAdapter[a.identity.ID]))
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
		InFlight: a.host.InFlight(), OpenLetter: letters, Secrets: a.secrets()}
	if b := a.host.Breaker; b != nil {
		out.Breaker = BreakerStatus{State: b.State().String(), Failures: b.Failures(), Manual: b.Held()}
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

const oldToken = "the access token in use cannot be renewed"

// check judges an adapter by its breaker and its last attempt.
func (a *adapter) check() HealthCheck {
	c := HealthCheck{Status: "pass", Latency: float64(a.host.LastLatency().Microseconds()) / 1000}
	failure := a.host.LastFailure()
	if failure != "" {
		c.Status, c.Message = "warn", "the last attempt failed: "+failure
	}
	if failure == "" && a.host.StaleTLS() != "" {
		c.Status, c.Message = "warn", "changed TLS files cannot be used; the earlier ones are in use"
	}
	if a.host.OldToken() != "" {
		c.Status, c.Message = "warn", oldToken
	}
	if a.host.NoCredentials() != "" {
		c.Status, c.Message = "fail", "calls are refused because a credential cannot be read"
		return c
	}
	b := a.host.Breaker
	if b == nil {
		return c
	}
	switch b.State() {
	case policy.BreakerOpened:
		c.Status, c.Message = "fail", "the breaker is open"
		if b.Held() {
			c.Message = "the breaker was opened by hand"
		}
		if failure != "" {
			c.Message += "; the last attempt failed: " + failure
		}
	case policy.BreakerHalfOpen:
		c.Status, c.Message = "warn", "the breaker is half-open: the next calls are probes"
	}
	return c
}

// Health implements Controller: unhealthy when every adapter fails, degraded when any is not well.
func (s *Server) Health() Health {
	h := Health{Status: "healthy", Checks: map[string]HealthCheck{}, Timestamp: time.Now()}
	failed := 0
	for _, a := range s.adapters() {
		c := a.check()
		h.Checks[a.identity.ID] = c
		if c.Status != "pass" {
			h.Status = "degraded"
		}
		if c.Status == "fail" {
			failed++
		}
	}
	if failed > 0 && failed == len(h.Checks) {
		h.Status = "unhealthy"
	}
	if why := s.deps.Letters.Stats().Failing; why != "" {
		h.add("spool", HealthCheck{Status: "fail", Message: "letters are being lost: " + why})
	}
	if held := s.acceptedStatus(); held != nil && held.Failing != "" {
		h.add("accepted", HealthCheck{Status: "fail", Message: "calls are not accepted: " + held.Failing})
	}
	if redis := s.redisStatus(); redis != nil {
		h.add("redis", redis.check())
	}
	if sink := s.sinkStatus(); sink != nil {
		h.add("sink", sink.check())
	}
	if vault := s.vaultStatus(); vault != nil {
		h.add("vault", vault.check())
	}
	return h
}

// add adds a check of something that is shared by all adapters, which makes none of them unhealthy.
func (h *Health) add(name string, c HealthCheck) {
	h.Checks[name] = c
	if c.Status != "pass" && h.Status == "healthy" {
		h.Status = "degraded"
	}
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

// Drain is how long calls in flight may take after the sidecar was told to stop, as configured now.
func (s *Server) Drain() time.Duration { return s.snapshot.Load().document.Drain.D() }
