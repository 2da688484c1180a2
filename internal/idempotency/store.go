// Package idempotency remembers which keys were used and what came of them.
//
// A key is claimed before its call is sent. The claim's owner finishes it with the outcome, releases it when the call
// failed for good or was never sent, or abandons it when the call was sent and nobody knows what came of it. Only the
// owner can do any of these: every claim carries a random owner and is compared on each step.
package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Scope is what a key is unique in: tenant, adapter, method, path and the key itself.
type Scope [sha256.Size]byte

// NewScope hashes the parts, each with its length, so that no two lists of parts collide.
func NewScope(tenant, adapter, method, path, key string) Scope {
	return digest(tenant, adapter, method, path, key)
}

// String is the scope in hex.
func (s Scope) String() string { return hex.EncodeToString(s[:]) }

// ParseScope reads what String wrote.
func ParseScope(s string) (Scope, bool) {
	var scope Scope
	b, err := hex.DecodeString(s)
	return scope, err == nil && copy(scope[:], b) == len(scope) && len(b) == len(scope)
}

// Fingerprint tells two requests with the same key apart: a hash of query and body.
type Fingerprint [sha256.Size]byte

// NewFingerprint hashes a request's query and body.
func NewFingerprint(query string, body []byte) Fingerprint {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(query)))
	h.Write(length[:])
	h.Write([]byte(query))
	h.Write(body)
	return Fingerprint(h.Sum(nil))
}

func digest(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Outcome is a stored final response.
type Outcome struct {
	Status  int
	Fields  wire.Fields
	Body    []byte
	Omitted bool // the body was larger than what is kept
}

// Owner proves a claim.
type Owner [16]byte

// Request asks for a key.
type Request struct {
	Scope       Scope
	Fingerprint Fingerprint
	LetterID    string        // the letter that will keep this call, should its outcome become unknown
	Lease       time.Duration // how long the claim holds without being finished
	Resend      bool          // take over a key of unknown outcome: the provider honours keys, or somebody forces a replay
	FailOpen    bool          // a shared store that cannot be reached decides on what this process alone knows
}

// Verdict is what Begin found.
type Verdict int

// The verdicts of Begin.
const (
	Granted  Verdict = iota // the caller owns the key now and must Finish, Release or Abandon
	Replay                  // finished: Decision.Outcome
	InFlight                // somebody else owns it: Decision.Done is closed when that may have changed
	Reused                  // the key belongs to a request with another fingerprint
	Unknown                 // it was sent and nobody knows what came of it: Decision.LetterID
)

// Decision is the answer of Begin.
type Decision struct {
	Verdict  Verdict
	Owner    Owner           // of Granted
	Outcome  *Outcome        // of Replay; not to be changed
	Done     <-chan struct{} // of InFlight; nil: nobody can tell now when it ends
	LetterID string          // of Unknown: as given by the claim that became unknown
	Degraded error           // of Granted: why only this process knows of it; see Request.FailOpen
}

// Store is where keys are remembered. All its methods are safe for concurrent use; an error means that the store
// failed, never that the key was in the way.
type Store interface {
	// Begin asks for a key.
	Begin(ctx context.Context, r Request) (Decision, error)
	// Finish stores the outcome for ttl. It does nothing when owner no longer holds the key.
	Finish(ctx context.Context, scope Scope, owner Owner, outcome *Outcome, ttl time.Duration) error
	// Release frees the key.
	Release(ctx context.Context, scope Scope, owner Owner) error
	// Abandon marks the outcome of the owner's call as unknown, for ttl.
	Abandon(ctx context.Context, scope Scope, owner Owner, ttl time.Duration) error
	// Close gives back what the store holds.
	Close() error
}
