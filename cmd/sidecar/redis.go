package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/policy"
)

// openShared starts to use the Redis that the sidecars of the application share. A Redis that does not answer is no
// reason not to serve: each adapter's policies say what happens without it.
func (p *process) openShared(c *config.Redis) error {
	client, err := p.redisConfig(c)
	if err != nil {
		return err
	}
	if p.shared, err = shared.Open(client); err != nil {
		return err
	}
	<-p.shared.Probed() // or the first calls would pay for the connection
	p.keys = idempotency.NewRedis(p.shared, idempotency.RedisOptions{MaxBody: int(c.MaxOutcome)})
	return nil
}

func (p *process) redisConfig(c *config.Redis) (shared.Config, error) {
	out := shared.Config{Addresses: c.Addresses, MasterName: c.MasterName, Cluster: c.Cluster, Username: c.Username,
		SentinelUsername: c.SentinelUsername, Prefix: c.Prefix, Budget: c.Budget.D(), Changed: p.redisChanged,
		Warned: func(what string) { p.log.Warn("redis", "warning", what) }, Observe: p.metrics.Redis()}
	if c.Password != "" {
		out.Password = func() (string, error) { return p.reveal(c.Password) }
	}
	var err error
	if c.SentinelPassword != "" {
		if out.SentinelPassword, err = p.reveal(c.SentinelPassword); err != nil {
			return out, fmt.Errorf("redis.sentinel_password: %w", err)
		}
	}
	if c.TLS != nil {
		if out.TLS, err = p.follow(c.TLS, "redis"); err != nil {
			return out, err
		}
	}
	return out, nil
}

// sharing lets other sidecars take over what this one accepted.
func (p *process) sharing(c *config.Redis) accepted.Sharing {
	if p.shared == nil || c.MaxAccepted == 0 {
		return accepted.Sharing{}
	}
	return accepted.Sharing{Client: p.shared, MaxBytes: int(c.MaxAccepted), MaxAnswer: int(c.MaxOutcome), TookOver: func(from string, exchanges int) {
		p.log.Warn("accepted exchanges of a sidecar that is gone were taken over", "from", from, "exchanges", exchanges)
	}}
}

// follow reads the files of a TLS block, and again when they have changed.
func (p *process) follow(t *policy.TLS, block string) (func() *tls.Config, error) {
	files, err := t.Follow(func(why error) {
		if why == nil {
			p.log.Info("changed TLS files are used again", "of", block)
			return
		}
		p.log.Warn("changed TLS files cannot be used; the earlier ones stay in use", "of", block, "error", why.Error())
	})
	if err != nil {
		return nil, fmt.Errorf("%s.%w", block, err)
	}
	return files.Config, nil
}

func (p *process) reveal(ref secret.Ref) (string, error) {
	value, err := p.secrets.Resolve(context.Background(), ref)
	return string(value.Reveal()), err
}

// redisChanged logs what on-call wants to read in order.
func (p *process) redisChanged(up bool, why error) {
	if up {
		p.log.Info("redis answers again: state is shared")
		return
	}
	p.log.Warn("redis is down: limits are local, keys as each adapter's idempotency.store says", "error", why.Error())
}
