// Package shared is what the sidecars of one application have in common: a Redis, one server, a master behind
// sentinels, or a cluster.
//
// Redis is never allowed to cost a call more than a small budget, nor to fail one. Every command has a deadline; a
// breaker stops asking a Redis that does not answer, and a prober, not a call, finds out that it answers again. Who
// needs shared state decides what to do without it: see idempotency.Redis and policy.Limiter.
//
// All changes are made by scripts of one key each, with the time of Redis, because the clocks of pods differ. Every
// script may run twice with the same arguments: a cluster client sends a command again when its connection broke.
package shared

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// DefaultBudget is the longest an exchange waits for Redis in all, when nothing else is configured.
const DefaultBudget = 100 * time.Millisecond

// ErrDown is returned, at once, while Redis does not answer.
var ErrDown = errors.New("redis is down")

// Config says which Redis to use, and how.
type Config struct {
	// Addresses are host:port of the server, of the cluster's nodes, or of the sentinels when MasterName is set.
	Addresses  []string
	MasterName string
	// Cluster tells that a single address leads to a cluster; several without MasterName always do.
	Cluster bool
	// Username and Password are asked for at each new connection, so that a changed secret is followed; nil: none.
	Username string
	Password func() (string, error)
	// SentinelUsername and SentinelPassword are for the sentinels themselves, read once.
	SentinelUsername, SentinelPassword string
	TLS                                func() *tls.Config // asked at each new connection, so that changed files are followed; nil: none
	// Prefix begins every key; sidecars with the same prefix and Redis share their state.
	Prefix string
	// Budget is the longest any one command may take; default DefaultBudget.
	Budget time.Duration
	// Changed is told when Redis stops and starts answering; why is nil when it does. nil: nobody wants to know.
	Changed func(up bool, why error)
	// Warned is told, once, what is wrong with a Redis that answers: its settings, or that it is nearly full. nil: nobody
	// wants to know.
	Warned func(what string)
	// Observe is told of every command: how long it took and what came of it. Commands refused with ErrDown took no
	// time. nil: nobody wants to know.
	Observe func(took time.Duration, err error)
}

// Client runs scripts in Redis. Its methods are safe for concurrent use.
type Client struct {
	config Config
	redis  redis.UniversalClient
	gate   gate
	queue  queue // of calls that come while many are under way

	prober redis.UniversalClient // with a connection of its own: a crowd of calls says nothing of Redis
	doubt  chan struct{}         // has an element when calls fail and the prober is to find out why

	first  chan struct{} // closed when the first probe has ended
	once   sync.Once
	stop   context.CancelFunc
	probes sync.WaitGroup
}

// Open starts to use Redis. It does not wait for it, see Probed.
func Open(c Config) (*Client, error) {
	if len(c.Addresses) == 0 {
		return nil, errors.New("redis: no address")
	}
	if c.Budget <= 0 {
		c.Budget = DefaultBudget
	}
	ctx, stop := context.WithCancel(context.Background())
	client := &Client{config: c, redis: redis.NewUniversalClient(c.options()), prober: redis.NewUniversalClient(c.proberOptions()),
		doubt: make(chan struct{}, 1), first: make(chan struct{}), stop: stop}
	client.queue.client = client
	client.gate.changed, client.gate.warned = c.Changed, c.Warned
	client.gate.misses = missesToClose - 1 // one that never answered is down at the first miss
	client.probes.Go(func() { client.probe(ctx) })
	return client, nil
}

func (c Config) options() *redis.UniversalOptions {
	longest := max(unhurried, c.Budget)
	o := &redis.UniversalOptions{
		Addrs: c.Addresses, MasterName: c.MasterName, IsClusterMode: c.Cluster,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		Username:   c.Username,
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, // or it retries on its own and waits past every deadline
		DialTimeout: longest, ReadTimeout: longest, WriteTimeout: longest, PoolTimeout: longest, // the context's deadline is what counts
		PoolSize: poolSize, MaxIdleConns: poolSize, ConnMaxIdleTime: 5 * time.Minute,
		ReadBufferSize: bufferSize, WriteBufferSize: bufferSize, PipelinePoolSize: -1,
		Protocol: 2, DisableIdentity: true, // one round trip to set up a connection
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.TLS != nil {
		o.Dialer = c.dialer(longest)
	}
	if c.Password != nil {
		o.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := c.Password()
			return c.Username, password, err
		}
	}
	return o
}

// dialer connects with TLS as its files are now; longest bounds the handshake too.
func (c Config) dialer(longest time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: longest, KeepAlive: 5 * time.Minute}, Config: c.TLS()}
		return d.DialContext(ctx, network, address)
	}
}

func (c Config) proberOptions() *redis.UniversalOptions {
	o := c.options()
	o.PoolSize, o.MaxIdleConns = 1, 1
	return o
}

// unhurried is the time for what no call waits for.
const unhurried = time.Second

const (
	poolSize   = 32      // connections per node: enough for some 100,000 commands a second
	bufferSize = 4 << 10 // bytes, twice per connection: commands are short
)

// Close ends the probes and the connections.
func (c *Client) Close() error {
	c.stop()
	c.probes.Wait()
	return errors.Join(c.prober.Close(), c.redis.Close())
}

// Probed is closed when Redis was asked for the first time, within a second. Then, as a rule, there is a connection: what
// that costs, with TLS and the places of a cluster, can be more than a call's budget.
func (c *Client) Probed() <-chan struct{} { return c.first }

// Up reports whether Redis is asked. While it is not, every command returns ErrDown at once.
func (c *Client) Up() bool { return c.gate.up() }

// Budget is the longest any one command may take.
func (c *Client) Budget() time.Duration { return c.config.Budget }

// Key joins parts to a key of this application.
func (c *Client) Key(parts ...string) string {
	return c.config.Prefix + ":" + strings.Join(parts, ":")
}

// A Script runs in Redis, on one key.
type Script struct{ inner *redis.Script }

// NewScript returns the script with this source, in Lua.
func NewScript(source string) *Script { return &Script{redis.NewScript(source)} }

// A Call is one run of a script.
type Call struct {
	Script *Script
	Key    string
	Args   []any
}

// Run runs a script on a key, within the budget or ctx, whichever ends first, and returns its reply: nil, int64,
// string or []any. An error means that nobody knows whether it ran.
func (c *Client) Run(ctx context.Context, s *Script, key string, args ...any) (any, error) {
	reply := c.queue.run(ctx, Call{Script: s, Key: key, Args: args})
	return reply.Value, reply.Err
}

// runOne runs a script on a connection of its own.
func (c *Client) runOne(ctx context.Context, call Call) (reply Reply) {
	reply.Err = c.ask(ctx, func(ctx context.Context) (err error) {
		reply.Value, err = call.Script.inner.Run(ctx, c.redis, []string{call.Key}, call.Args...).Result()
		return err
	})
	return reply
}

// A Reply is what came of one of several calls.
type Reply struct {
	Value any
	Err   error
}

// RunAll runs several calls in as few round trips as there are nodes, in no promised order.
func (c *Client) RunAll(ctx context.Context, calls []Call) []Reply {
	return c.runAll(ctx, calls, c.ask)
}

// RunAllBehind is RunAll for what no call waits for: it may take a second, and how it ends says nothing of Redis.
func (c *Client) RunAllBehind(ctx context.Context, calls []Call) []Reply {
	return c.runAll(ctx, calls, func(ctx context.Context, command func(context.Context) error) error {
		if !c.gate.up() {
			return c.observe(0, ErrDown)
		}
		return c.commandWithin(ctx, max(unhurried, c.config.Budget), command)
	})
}

func (c *Client) runAll(ctx context.Context, calls []Call, ask func(context.Context, func(context.Context) error) error) []Reply {
	replies := make([]Reply, len(calls))
	err := ask(ctx, func(ctx context.Context) error {
		pipe := c.redis.Pipeline()
		commands := make([]*redis.Cmd, len(calls))
		for i, call := range calls {
			commands[i] = call.Script.inner.EvalSha(ctx, pipe, []string{call.Key}, call.Args...)
		}
		_, err := pipe.Exec(ctx)
		for i, command := range commands {
			replies[i].Value, replies[i].Err = command.Result()
			if redis.HasErrorPrefix(replies[i].Err, "NOSCRIPT") {
				replies[i].Value, replies[i].Err = calls[i].Script.inner.Run(ctx, c.redis, []string{calls[i].Key}, calls[i].Args...).Result()
				err = replies[i].Err
			}
		}
		return err
	})
	for i := range replies {
		switch {
		case replies[i].Err == redis.Nil:
			replies[i].Err = nil
		case replies[i].Err == nil && replies[i].Value == nil && err != nil:
			replies[i].Err = err
		}
	}
	return replies
}

// ask runs one command if Redis is up, and judges what came of it.
func (c *Client) ask(ctx context.Context, command func(context.Context) error) error {
	if !c.gate.up() {
		return c.observe(0, ErrDown)
	}
	start := time.Now()
	err := c.command(ctx, command)
	switch {
	case err == nil:
		c.gate.succeeded()
	case ctx.Err() != nil && time.Since(start) < c.config.Budget/2: // the caller had no time left, or left: that says nothing of Redis
	case strings.Contains(err.Error(), "WRONGTYPE"): // somebody else's value under our name: that one key's trouble
	case c.gate.failed(err):
		select {
		case c.doubt <- struct{}{}:
		default:
		}
	}
	return err
}

// command runs one command within the budget.
func (c *Client) command(ctx context.Context, run func(context.Context) error) error {
	return c.commandWithin(ctx, c.config.Budget, run)
}

func (c *Client) commandWithin(ctx context.Context, d time.Duration, run func(context.Context) error) error {
	start := time.Now()
	limited, cancel := ctx, context.CancelFunc(func() {})
	if end, bounded := ctx.Deadline(); !bounded || end.Sub(start) > d { // an exchange's patience is bound enough
		limited, cancel = context.WithDeadline(ctx, start.Add(d))
	}
	defer cancel()
	err := run(limited)
	if err == redis.Nil {
		err = nil
	}
	return c.observe(time.Since(start), err)
}

func (c *Client) observe(took time.Duration, err error) error {
	if c.config.Observe != nil {
		c.config.Observe(took, err)
	}
	if err != nil && err != ErrDown {
		return fmt.Errorf("ask Redis: %w", err)
	}
	return err
}
