package shared

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	probeWhenUp   = time.Second
	probeWhenDown = 200 * time.Millisecond
	probeKeyTTL   = time.Minute
	lookAgain     = 30 * time.Second // at the settings: a failover leads to another server
)

// probe writes to Redis now and then until ctx ends. It writes because a full Redis, and a master that has become a
// replica, still answer whoever only reads. It looks at once when calls fail. Pods do not probe in step: each pause is up to a quarter longer.
func (c *Client) probe(ctx context.Context) {
	looked, within := time.Time{}, unhurried
	for {
		err := c.commandWithin(ctx, within, func(ctx context.Context) error {
			return c.prober.Set(ctx, c.Key("probe"), "1", probeKeyTTL).Err()
		})
		switch {
		case err == nil:
			c.gate.passed()
		case ctx.Err() == nil:
			c.gate.missed(err)
		}
		c.once.Do(func() { close(c.first) })
		if now := time.Now(); err == nil && now.Sub(looked) > lookAgain && c.lookAtSettings(ctx) {
			looked = now
		}
		pause := probeWhenUp
		within = c.config.Budget
		if err != nil { // a new connection is not paid for out of the budget
			pause, within = probeWhenDown, max(unhurried, c.config.Budget)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.doubt:
		case <-time.After(pause + rand.N(pause/4)):
		}
	}
}

// lookAtSettings warns of a Redis that may throw away keys before their time, or will soon take nothing any more.
func (c *Client) lookAtSettings(ctx context.Context) (looked bool) {
	var infos []string
	err := error(nil)
	_ = c.command(ctx, func(ctx context.Context) error {
		infos, err = c.memory(ctx)
		return nil // not being allowed to ask says nothing of Redis
	})
	if err != nil {
		return false
	}
	c.gate.warn(infos)
	return true
}
