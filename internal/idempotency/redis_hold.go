package idempotency

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// A hold is a key that a call of this process owns, or owned and Redis has not taken yet how that ended.
type hold struct {
	scope       Scope
	owner       Owner
	fingerprint Fingerprint
	letterID    string
	started     time.Time
	until       time.Time // end of the lease
	done        chan struct{}
	woken       bool
	lost        bool        // somebody else has the key in Redis
	settling    *settlement // nil while the call is in flight
}

func newHold(q Request, owner Owner, now time.Time) *hold {
	return &hold{
		scope: q.Scope, owner: owner, fingerprint: q.Fingerprint, letterID: q.LetterID,
		started: now, until: now.Add(q.Lease), done: make(chan struct{}),
	}
}

// wake tells who waits that the key may have changed.
func (h *hold) wake() {
	if !h.woken {
		h.woken = true
		close(h.done)
	}
}

// inFlight reports whether the call that owns the key is under way, within its lease.
func (h *hold) inFlight(now time.Time) bool { return h.settling == nil && now.Before(h.until) }

// judge decides on a key of this process; unsure means that Redis knows better.
func (h *hold) judge(q Request, now time.Time) (d Decision, unsure bool) {
	switch {
	case h.settling != nil:
		return h.settling.judge(q, now)
	case h.lost || !h.inFlight(now):
		return Decision{}, true
	case h.fingerprint != q.Fingerprint:
		return Decision{Verdict: Reused}, false
	}
	return Decision{Verdict: InFlight, Done: h.done}, false
}

// judgeAlone decides on a key that judge was unsure of, when Redis cannot be asked; free means that it may be granted.
func (h *hold) judgeAlone(q Request, now time.Time) (d Decision, free bool) {
	switch {
	case h == nil || h.settling != nil:
		return Decision{}, true
	case h.fingerprint != q.Fingerprint:
		return Decision{Verdict: Reused}, false
	case h.inFlight(now):
		return Decision{Verdict: InFlight, Done: h.done}, false
	case q.Resend:
		return Decision{}, true
	}
	return Decision{Verdict: Unknown, LetterID: h.letterID}, false
}

// String is the owner in hex, as the scripts compare it.
func (o Owner) String() string { return hex.EncodeToString(o[:]) }

// turnAt is where an owner counts its turns; what is before is random.
const turnAt = 12

func newOwner() (o Owner) {
	_, _ = rand.Read(o[:turnAt]) // never fails (crypto/rand)
	return o
}

// next is the same process with the same key once more: Redis knows by it that the turn before is over, whether or not
// it ever learns how that ended.
func (o Owner) next() Owner {
	binary.BigEndian.PutUint32(o[turnAt:], binary.BigEndian.Uint32(o[turnAt:])+1)
	return o
}
