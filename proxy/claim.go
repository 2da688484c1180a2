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

// Why a letter cannot be claimed.
const (
	claimUnknown = "redis does not answer, so another sidecar could be replaying it; try again later, or use --force when none is"
	claimTaken   = "another sidecar is replaying it"
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
		return nil, claimUnknown
	case !granted:
		return nil, claimTaken
	}
	c.mark = mark
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.stopped = make(chan struct{})
	go c.extend(ctx)
	return c, ""
}

// look says of a dry run what claim would meet, and takes what other sidecars made of the letter into account; nil when
// nothing stands in the way, with a remark when that is not known.
func (r *resend) look(ctx context.Context) (stands *ReplayResult, remark string) {
	if r.server.claims == nil {
		return nil, ""
	}
	taken, mark, err := r.server.claims.Look(ctx, r.letter.ID)
	var found ReplayResult
	switch {
	case err != nil && r.options.Force:
		return nil, "redis does not answer, so another sidecar could be replaying it, or could have"
	case err != nil:
		found = later(r.letter.ID, claimUnknown)
	case taken:
		found = later(r.letter.ID, claimTaken)
	case mark.Text == resultReplayed, mark.Text == resultResolved:
		found = ReplayResult{ID: r.letter.ID, Result: resultWouldResolve, Reason: "another sidecar has " + mark.Text + " it; nothing would be sent"}
	default:
		r.heed(mark)
		return nil, ""
	}
	return &found, ""
}

// heed remembers that another sidecar tried the letter, and does not know what came of it.
func (r *resend) heed(m shared.Mark) {
	if m.Text == markUnknown {
		r.unknown, r.tried = true, time.Now().Add(-m.Age)
	}
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
