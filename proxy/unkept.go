package proxy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// unkept remembers how exchanges ended whose letters the spool could not take, while they wait for another try to keep
// them: they must not be sent again for that, and must not hold up those that may succeed.
//
// What it has no room for, and what a crash forgets, is doubtful: it is sent again only to a provider that honours keys,
// else its letter is of unknown outcome.
type unkept struct {
	mu    sync.Mutex
	ends  map[string]outcome // by id of the exchange
	bytes int                // of their bodies

	most, mostBytes int
}

func newUnkept() *unkept {
	return &unkept{ends: map[string]outcome{}, most: 1000, mostBytes: 8 << 20}
}

// add remembers an end, if there is room.
func (u *unkept) add(id string, o outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	size := sizeOf(o)
	if len(u.ends) < u.most && u.bytes+size <= u.mostBytes {
		u.ends[id], u.bytes = o, u.bytes+size
	}
}

// take returns an end, and forgets it.
func (u *unkept) take(id string) (outcome, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	o, found := u.ends[id]
	if found {
		delete(u.ends, id)
		u.bytes -= sizeOf(o)
	}
	return o, found
}

func sizeOf(o outcome) int { return len(o.letter.OriginalMessage.Body) + len(o.end.Result.Body) }

// keep writes the letter of an end; false means that the spool could not take it, and that the exchange was put back:
// until there is a letter the exchange is all there is of the call.
func (c *courier) keep(ctx context.Context, claim *accepted.Claim, o outcome) bool {
	err := c.server.deps.Letters.Put(ctx, o.letter)
	if err == nil {
		return true
	}
	if !o.kept {
		c.server.log().Error("the letter of an accepted exchange could not be kept and is tried again", "exchange_id", claim.ID, "error", err.Error())
	}
	put := accepted.Put{Due: time.Now().Add(backoff(claim.Tries)), Reason: string(problem.SpoolUnavailable), Attempts: o.end.Attempts,
		Sent: slices.ContainsFunc(o.letter.Attempts, func(a dlq.Attempt) bool { return a.Sent })}
	o.end.Attempts, o.kept = 0, true // they are written with what is put back
	if c.stopping() {
		put.Due = time.Time{}
	}
	c.unkept.add(claim.ID, o)
	c.putBack(ctx, claim, put)
	return false
}
