package proxy

import (
	"time"

	"github.com/fsm-integrations/sidecar/policy"
)

const oldToken = "the access token in use cannot be renewed"

// What a check can come to.
const (
	pass = "pass"
	warn = "warn"
	fail = "fail"
)

// check judges an adapter by what calls met and what active checks found (docs/decisions/0026-health-and-alerts.md has
// the table).
func (a *adapter) check() HealthCheck {
	c := HealthCheck{Status: pass, Latency: millis(a.host.LastLatency()), Observed: a.host.LastAttempt()}
	checked, _ := a.host.Checked()
	if checked.At.After(c.Observed) {
		c.Latency, c.Observed = millis(checked.Took), checked.At
	}
	// A call that ended before the last check but one began says less than the checks since.
	recent := checked.Verdict == policy.Unchecked || a.host.LastAttempt().After(checked.At.Add(-checked.Took-a.host.CheckEvery()))
	failure := a.host.LastFailure()
	if failure != "" && (recent || checked.Verdict == policy.Down) {
		c.Status, c.Message = warn, "the last attempt failed: "+failure
	}
	if failure == "" && a.host.StaleTLS() != "" {
		c.Status, c.Message = warn, "changed TLS files cannot be used; the earlier ones are in use"
	}
	if a.host.OldToken() != "" {
		c.Status, c.Message = warn, oldToken
	}
	if a.host.NoCredentials() != "" {
		c.Status, c.Message = fail, "calls are refused because a credential cannot be read"
		return c
	}
	a.askBreaker(&c, failure)
	c.join(checked, recent && failure == "")
	return c
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// askBreaker adds what the breaker knows.
func (a *adapter) askBreaker(c *HealthCheck, failure string) {
	b := a.host.Breaker
	if b == nil {
		return
	}
	switch b.State() {
	case policy.BreakerOpened:
		c.Status, c.Message = fail, "the breaker is open"
		if b.Held() {
			c.Message = "the breaker was opened by hand"
		}
		if failure != "" {
			c.Message += "; the last attempt failed: " + failure
		}
	case policy.BreakerHalfOpen:
		c.Status, c.Message = warn, "the breaker is half-open: the next calls are probes"
	}
}

// join adds what the active checks found; well: calls succeed.
func (c *HealthCheck) join(checked policy.CheckState, well bool) {
	switch {
	case checked.Verdict == policy.Up && c.Status != pass:
		c.Message += "; the health check passes"
	case checked.Verdict != policy.Down:
	case well && c.Status != fail:
		c.Status, c.Message = warn, also(c.Message, "the health check fails, though calls succeed: "+checked.Why)
	case c.Status == pass:
		c.Status, c.Message = fail, "the health check fails: "+checked.Why
	default:
		c.Status, c.Message = fail, also(c.Message, "the health check fails too: "+checked.Why)
	}
}

func also(message, more string) string {
	if message == "" {
		return more
	}
	return message + "; " + more
}

// checkStatus is how the active checks of an adapter stand; nil when there are none.
func (a *adapter) checkStatus() *CheckStatus {
	now, on := a.host.Checked()
	if !on {
		return nil
	}
	out := &CheckStatus{State: now.Verdict.String(), Status: now.Status, Message: now.Why}
	if !now.At.IsZero() {
		out.At, out.Latency = &now.At, millis(now.Took)
	}
	if !now.Since.IsZero() {
		out.Since = &now.Since
	}
	return out
}

// Health implements Controller: unhealthy when every adapter fails, degraded when any is not well.
func (s *Server) Health() Health {
	h := Health{Status: "healthy", Checks: map[string]HealthCheck{}, Version: s.version, Timestamp: time.Now()}
	failed := 0
	for _, a := range s.adapters() {
		c := a.check()
		h.Checks[a.identity.ID] = c
		if c.Status != pass {
			h.Status = "degraded"
		}
		if c.Status == fail {
			failed++
		}
	}
	if failed > 0 && failed == len(h.Checks) {
		h.Status = "unhealthy"
	}
	if why := s.deps.Letters.Stats().Failing; why != "" {
		h.add("spool", HealthCheck{Status: fail, Message: "letters are being lost: " + why})
	}
	if held := s.acceptedStatus(); held != nil && held.Failing != "" {
		h.add("accepted", HealthCheck{Status: fail, Message: "calls are not accepted: " + held.Failing})
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
	c.Shared = true
	h.Checks[name] = c
	if c.Status != pass && h.Status == "healthy" {
		h.Status = "degraded"
	}
}
