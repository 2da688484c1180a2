package proxy

import (
	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

// redisStatus is how the Redis is that the sidecars share; nil without one.
func (s *Server) redisStatus() *RedisStatus {
	if s.deps.Shared == nil {
		return nil
	}
	now := s.deps.Shared.Status()
	out := &RedisStatus{Up: now.Up, Warning: now.Warning}
	if !now.Since.IsZero() {
		out.Since = &now.Since
	}
	if now.Why != nil {
		out.Why = now.Why.Error()
	}
	if keys, ok := s.deps.Keys.(*idempotency.Redis); ok {
		stats := keys.Stats()
		out.Keys = KeysStatus{InFlight: stats.InFlight, Pending: stats.Pending, Lost: stats.Lost}
	}
	return out
}

// check never fails: an adapter that cannot do without Redis says so for itself.
func (r *RedisStatus) check() HealthCheck {
	switch {
	case !r.Up:
		return HealthCheck{Status: "warn", Message: "redis is down: limits are local, and keys as each adapter's idempotency.store says: " + r.Why}
	case r.Warning != "":
		return HealthCheck{Status: "warn", Message: r.Warning}
	}
	return HealthCheck{Status: "pass"}
}
