// Package dlq keeps what could not be delivered: one letter per exchange that finally failed.
//
// A letter is on disk, synced, before the application is answered (Spool.Put). It holds what is needed to understand
// the failure and to send the call again, and by construction neither credentials nor signatures: those are put only
// on an attempt's private copy of the request.
package dlq

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// State is where a letter stands.
type State string

// The states of a letter.
const (
	Dead      State = "dead"      // waits for somebody
	Forwarded State = "forwarded" // acknowledged by a sink
	Replayed  State = "replayed"  // sent again with success
	Resolved  State = "resolved"  // a later call with the same key succeeded
	Discarded State = "discarded" // somebody decided it is not needed
)

// States lists every state.
func States() []State { return []State{Dead, Forwarded, Replayed, Resolved, Discarded} }

// Open reports whether the letter still waits for an outcome.
func (s State) Open() bool { return s == Dead || s == Forwarded }

// Letter is one exchange that finally failed. The JSON names are the specification's (DLQMessage).
type Letter struct {
	OriginalMessage Message   `json:"originalMessage"`
	Error           Failure   `json:"error"`
	Metadata        Metadata  `json:"metadata"`
	ID              string    `json:"id"` // UUIDv7
	State           State     `json:"state"`
	Attempts        []Attempt `json:"attempts"`
	Audit           []Audit   `json:"audit,omitempty"`
}

// Message is the call as the application made it, with the idempotency key and correlation id it was given.
type Message struct {
	Method     string  `json:"method"`
	URL        string  `json:"url"` // of the external system
	Headers    Headers `json:"headers"`
	Body       []byte  `json:"body"`       // base64 in JSON
	BodyDigest string  `json:"bodyDigest"` // sha-256=:…: as in Content-Digest (RFC 9530)
	Target     string  `json:"target"`     // path and query as the application sent them, without the adapter's prefix
	Operation  string  `json:"operation,omitempty"`
	Raw        *Raw    `json:"raw,omitempty"` // when target or headers are not UTF-8, which JSON cannot hold

	BodyOmitted bool   `json:"bodyOmitted,omitempty"` // Config.OmitBody was on: the letter cannot be replayed
	BodyLength  int64  `json:"bodyLength,omitempty"`  // in bytes, when there was a body and it is not here
	SealedWith  string `json:"sealedWith,omitempty"`  // name of a key that is not configured: all but method and operation is sealed
}

// Failure is why the exchange failed.
type Failure struct {
	Message string            `json:"message"`
	Code    string            `json:"code"` // an HTTP status, or a problem kind
	Type    problem.ErrorType `json:"type"`
}

// Metadata is the context of the exchange.
type Metadata struct {
	Attempts       int       `json:"attempts"`
	FirstAttempt   time.Time `json:"firstAttempt"`
	LastAttempt    time.Time `json:"lastAttempt"`
	CorrelationID  string    `json:"correlationId"`
	AdapterID      string    `json:"adapterId"`
	TenantID       string    `json:"tenantId"`
	UserID         string    `json:"userId"`
	IdempotencyKey string    `json:"idempotencyKey"`
	AdapterVersion string    `json:"adapterVersion"`
	Adapter        string    `json:"adapter"`               // name in the configuration; replay finds it by this
	Application    string    `json:"application,omitempty"` // whose sidecar kept it, see Config.Application
	Scope          string    `json:"scope,omitempty"`       // hex of the key's scope; a success with it resolves the letter
	Fresh          bool      `json:"keyFresh"`              // the key was made by the sidecar for this exchange alone
	Created        time.Time `json:"created"`
	Forwarded      time.Time `json:"forwarded,omitzero"` // when a sink last acknowledged it
}

// Attempt is one try upstream.
type Attempt struct {
	Number   int           `json:"number"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"durationNanoseconds"`
	Status   int           `json:"status,omitempty"`
	Error    string        `json:"error,omitempty"`
	Sent     bool          `json:"sent"` // at least one byte left for the external system
}

// Audit is one thing done to a letter.
type Audit struct {
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`
	Action  string    `json:"action"` // replay, reconcile, adopt, resolve, discard
	Outcome string    `json:"outcome"`
	Run     string    `json:"run,omitempty"`    // name of the replay run it was part of
	Forced  bool      `json:"forced,omitempty"` // although it may take effect twice
}

// ActionReplay is the action of replays in a letter's audit.
const ActionReplay = "replay"

// TriedIn reports whether a replay run of this name has tried the letter.
func (l *Letter) TriedIn(run string) bool {
	for _, a := range l.Audit {
		if a.Action == ActionReplay && a.Run == run {
			return true
		}
	}
	return false
}
