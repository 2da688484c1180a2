package proxy

import (
	"context"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/shared"
)

// How replays are claimed among sidecars. The mark of a claim is resultReplayed, resultResolved or markUnknown.
const (
	markUnknown = "unknown"           // a replay was sent, or cut off, and nobody knows what came of it
	claimLife   = 15 * time.Second    // of a claim whose sidecar died; it is extended while the replay runs
	claimMemory = 30 * 24 * time.Hour // how long other sidecars may still read the letter somewhere
)

func newClaims(c *shared.Client) *shared.Claims {
	if c == nil {
		return nil
	}
	return shared.NewClaims(c, shared.ClaimsConfig{Kind: "letter", Cut: markUnknown, Life: claimLife, Memory: claimMemory})
}

// A claim is this sidecar's right to replay a letter, among the sidecars that share a Redis. A nil one is of a sidecar
// that shares nothing, or was told to go on without.
type claim struct {
	claims        *shared.Claims
	letter, owner string
	mark          shared.Mark // what other sidecars made of the letter
	stop          context.CancelFunc
	stopped       chan struct{}
	warn          func(msg string, args ...any)
}

// claim asks for the right to replay a letter; why says why there is none. Redis has to be asked: a letter that lies in
// a sink may be replayed by any sidecar. force goes on without a Redis that does not answer, never against one that does.
func (s *Server) claim(ctx context.Context, letterID string, force bool) (c *claim, why string) {
	c = &claim{claims: s.claims, letter: letterID, owner: dlq.NewID(), warn: s.log().Warn}
	if s.claims == nil {
		return c, ""
	}
	granted, mark, err := s.claims.Take(ctx, letterID, c.owner)
	switch {
	case err != nil && force:
		c.claims = nil
		return c, ""
	case err != nil:
		return nil, "redis does not answer, so another sidecar could be replaying it; try again later, or use --force when none is"
	case !granted:
		return nil, "another sidecar is replaying it"
	}
	c.mark = mark
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.stopped = make(chan struct{})
	go c.extend(ctx)
	return c, ""
}

// extend keeps the claim while the replay runs. One that is lost all the same leaves the others with an unknown outcome,
// which is what it is to them.
func (c *claim) extend(ctx context.Context) {
	defer close(c.stopped)
	tick := time.NewTicker(claimLife / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = c.claims.Extend(ctx, c.letter, c.owner)
		}
	}
}

// end gives the claim back, with what came of the replay. A Redis that does not take it holds the claim until it runs
// out, and the outcome is unknown to the other sidecars then.
func (c *claim) end(mark string) {
	if c.claims == nil {
		return
	}
	c.stop()
	<-c.stopped
	if err := c.claims.End(context.Background(), c.letter, c.owner, mark); err != nil {
		c.warn("other sidecars could not be told what came of a replay", "letter_id", c.letter, "error", err.Error())
	}
}

// mark is what other sidecars are told of the letter when this replay is over; "" for nothing.
func (r *resend) mark() string {
	switch {
	case r.letter.State == dlq.Replayed:
		return resultReplayed
	case r.letter.State == dlq.Resolved:
		return resultResolved
	case r.unknown:
		return markUnknown
	}
	return ""
}
