// Package accepted keeps the exchanges that were answered 202 before they were sent, until they are delivered and for a
// while after.
//
// An exchange is on disk, synced, before Accept returns. It is then in a queue: the oldest of an adapter first, and
// those of one tenant with the same order key strictly one after the other. Whoever delivers asks Next for one, Start
// for its content, and says by Finish or PutBack how the try ended. A process that dies in between leaves an exchange
// in state Running; it waits again at the next open, and is marked Doubtful: it may have been sent.
package accepted

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// State is where an accepted exchange stands.
type State string

// The states of an accepted exchange.
const (
	Waiting   State = "accepted"  // on disk, and not under way
	Running   State = "running"   // a try is under way
	Delivered State = "delivered" // the external system answered for good
	Failed    State = "failed"    // it was given up
)

// Ended reports whether nothing more will happen to the exchange.
func (s State) Ended() bool { return s == Delivered || s == Failed }

// Exchange is one call of the application that was accepted. It holds no credentials: whoever accepts leaves them out.
type Exchange struct {
	ID    string // UUIDv7; also of its letter, should it become one
	State State

	Adapter        string // name in the configuration; delivery finds it by this
	AdapterID      string
	AdapterVersion string
	Operation      string

	Method string
	Target string // path and query as the application sent them, without the adapter's prefix
	Fields wire.Fields
	Body   []byte

	SealedWith string // name of a key that is not configured: what the application sent is not known
	SealedBody int    // then the length of the request's body

	Key         string // idempotency key, fixed at acceptance
	KeySource   uint8  // as policy.KeySource
	Scope       string // what the key is unique in
	Fingerprint [sha256.Size]byte
	Order       string // order key
	Tenant      string
	User        string

	CorrelationID string
	Accepted      time.Time
	Updated       time.Time
	Until         time.Time     // it is not sent after this
	TTL           time.Duration // how long its end is kept
	NextTry       time.Time     // of one that was put back
	Attempts      int           // upstream, over all tries
	Doubtful      bool          // an earlier try may have been sent, and nobody knows what came of it
	Since         time.Time     // start of the first try that may have been sent; zero when there was none
	Reason        string        // why it was put back last

	Result *Result // of an ended one
}

// Result is what an exchange came to.
type Result struct {
	Status   int
	Fields   wire.Fields
	Body     []byte
	Omitted  bool   // the body was larger than what is kept
	Problem  bool   // it is the rendering of a problem: the external system's answer is not there
	LetterID string // of the letter that keeps the exchange
}

// NewID makes the id of an exchange: a UUIDv7, so that ids sort by the time they were made.
func NewID() string { return uuid.Must(uuid.NewV7()).String() } // fails only with crypto/rand, which never does
