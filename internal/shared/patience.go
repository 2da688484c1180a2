package shared

import (
	"context"
	"time"
)

// Patience is the time that one exchange may still spend waiting for Redis. The zero value has no bound: there is no
// Redis, and what is local is waited for. It belongs to one goroutine.
type Patience struct {
	bounded    bool
	full, left time.Duration
}

// NewPatience returns patience for budget in all.
func NewPatience(budget time.Duration) Patience {
	return Patience{bounded: true, full: budget, left: budget}
}

// Bounded reports whether there is a Redis to wait for.
func (p *Patience) Bounded() bool { return p.bounded }

// Renew makes it what it was at the start: a wait was over that was not for Redis, such as one for another call.
func (p *Patience) Renew() { p.left = p.full }

// Patience is what an exchange starts with; without a client, one without bound.
func (c *Client) Patience() Patience {
	if c == nil {
		return Patience{}
	}
	return NewPatience(c.config.Budget)
}

// Spend returns a context that ends when patience does, or with ctx. done must be called when the wait is over.
func (p *Patience) Spend(ctx context.Context) (waiting context.Context, done func()) {
	if !p.bounded {
		return ctx, func() {}
	}
	start := time.Now()
	waiting, cancel := context.WithTimeout(ctx, max(p.left, 0))
	return waiting, func() {
		cancel()
		p.left -= time.Since(start)
	}
}
