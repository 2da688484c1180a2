package shared

import (
	"context"
	_ "embed" // the scripts
	"time"
)

var (
	//go:embed claim.lua
	claimSource string
	//go:embed extend.lua
	extendSource string
	//go:embed end.lua
	endSource string
	//go:embed look.lua
	lookSource string
)

// Claims lets one sidecar at a time do a thing, and tells all of them what came of it. A claim has a life; its owner
// extends it for as long as it works. What is remembered of it lives longer.
type Claims struct {
	client                   *Client
	kind                     string // first part of the keys
	cut                      string // mark of a claim whose owner let it run out
	life, memory             time.Duration
	claim, extend, end, look *Script
}

// ClaimsConfig is what claims are made with.
type ClaimsConfig struct {
	Kind   string        // of the things that are claimed; a part of their keys
	Cut    string        // mark of a claim that its owner did not end, for whoever claims next
	Life   time.Duration // of a claim that is not extended
	Memory time.Duration // how long marks are kept
}

// NewClaims returns the claims of a client's application.
func NewClaims(c *Client, config ClaimsConfig) *Claims {
	return &Claims{client: c, kind: config.Kind, cut: config.Cut, life: config.Life, memory: config.Memory,
		claim: NewScript(claimSource), extend: NewScript(extendSource), end: NewScript(endSource), look: NewScript(lookSource)}
}

func (c *Claims) key(name string) string { return c.client.Key(c.kind, name) }

// A Mark is what came of a thing that was claimed before.
type Mark struct {
	Text string // "" when nothing did
	Age  time.Duration
}

// Take asks for the claim on a thing; owner is random. An error means that nobody knows whether the claim was granted; it
// runs out by itself.
func (c *Claims) Take(ctx context.Context, name, owner string) (granted bool, mark Mark, err error) {
	reply, err := c.client.Run(ctx, c.claim, c.key(name), owner, c.life.Milliseconds(), c.memory.Milliseconds(), c.cut)
	granted, mark = readMark(reply)
	return granted, mark, err
}

// Look says whether somebody has a claim on a thing now, and what came of it before. It changes nothing.
func (c *Claims) Look(ctx context.Context, name string) (taken bool, mark Mark, err error) {
	reply, err := c.client.Run(ctx, c.look, c.key(name), c.cut)
	taken, mark = readMark(reply)
	return taken, mark, err
}

func readMark(reply any) (first bool, mark Mark) {
	if parts, ok := reply.([]any); ok && len(parts) == 3 {
		mark.Text, _ = parts[1].(string)
		age, _ := parts[2].(int64)
		mark.Age = time.Duration(age) * time.Millisecond
		first = parts[0] == int64(1)
	}
	return first, mark
}

// Extend gives a claim another life. It is false when the claim is somebody else's by now.
func (c *Claims) Extend(ctx context.Context, name, owner string) (bool, error) {
	reply, err := c.client.Run(ctx, c.extend, c.key(name), owner, c.life.Milliseconds(), c.memory.Milliseconds())
	return reply == int64(1), err
}

// End gives a claim back and leaves a mark; "" forgets the thing.
func (c *Claims) End(ctx context.Context, name, owner, mark string) error {
	_, err := c.client.Run(ctx, c.end, c.key(name), owner, mark, c.memory.Milliseconds(), c.cut)
	return err
}
