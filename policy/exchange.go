// Package policy holds the stages an exchange passes on its way to an external system, and what is remembered of each
// system between exchanges.
//
// A stage is a function around the next one (Stage). Their order is written once, in chain.go. Each stage has one
// file with its settings, the check of its settings, and its constructor; everything that can be known when the
// configuration is loaded is computed there, once, and not per call. Outcomes are judged only in classify.go. Stages
// neither log nor count: they write facts on the Exchange, and observe.go publishes them.
//
// Only engine.go knows net/http.
package policy

import (
	"context"
	"errors"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Next runs the rest of the chain. It returns a response, or an error that is a *problem.Problem, or ErrCanceled when
// the application went away.
type Next func(*Exchange) (*wire.Response, error)

// Stage wraps the rest of the chain in one policy.
type Stage func(Next) Next

// Exchange is one call of the application while it passes the stages. It is owned by one goroutine.
type Exchange struct {
	Ctx      context.Context                      // ends when the application goes away
	Request  wire.Request                         // what every attempt starts from; credentials and signatures never get here
	Inform   func(status int, fields wire.Fields) // passes a 1xx response on; nil: nobody listens
	ReadBy   func(time.Time)                      // bounds the reading of the body; the zero time lifts the bound; nil: nobody reads
	Replay   *Replay                              // set when an operator sends a letter again
	Patience shared.Patience                      // time left to wait for Redis
	Delivery *Delivery                            // set when this is a try of an exchange that was accepted before

	Target        string // path and query as the application sent them, without the adapter's prefix
	Start         time.Time
	Deadline      time.Time // of the whole exchange
	shortened     bool      // its end says nothing about the external system: the application shortened it, or the sidecar has to stop
	CorrelationID string
	TraceID       string // of W3C Trace Context; "" when the call is in no trace
	SpanID        string // of the exchange's own span; "" when it is not recorded
	Tenant, User  string

	Adapter   *Identity
	Operation string

	Key      Key
	letterID string

	// Facts, for Observe, letters and answers.
	Attempts     []dlq.Attempt
	LimitWait    time.Duration      // spent waiting for tokens
	LimitHits    int                // tokens refused
	LimitLocal   bool               // the limit of this sidecar alone decided, because the shared one could not be asked
	Idempotency  string             // replayed, stored, in_flight, reused, unknown, store_failed, …: the outcome of the key
	Unknown      bool               // an attempt was sent and nobody knows what came of it
	Unjudged     error              // why the response that was passed on could not be looked into, for the log
	RetriesEnded string             // why a retry that the outcome allowed was not made: budget, deadline, or the kind of what stopped it
	Accepted     *accepted.Exchange // the exchange is on disk and is delivered later: nothing was sent
	Preferred    bool               // Accepted, and the application asked for it (RFC 7240)
	Repeated     bool               // Accepted is an exchange of an earlier call with the same key
	Again        bool               // this try of an accepted exchange came to nothing and is made again
	LetterID     string             // of the letter that keeps this exchange
	LetterLost   bool               // a letter was due and the spool could not take it
	StoreError   error              // of the store of keys, for the log
	TokenError   error              // why the access token that was sent could not be renewed yet, for the log
	SpoolError   error              // of the spool, for the log

	trace    traced
	document any    // the request body as JSON, while it is looked into
	decoded  bool   // document is there; null is one
	outgoing []byte // what is sent in place of the request body; nil when that is sent as it is
	pinned   bool   // the application asked for a version of the adapter

	attempt    wire.Request // the private copy of the attempt under way: credentials and signatures go here
	signedAt   int64        // Unix seconds of the last signature
	refused    bool         // answered 401, and another access token is to be had
	renewed    bool         // sent again because of that, once
	letterKept bool         // LetterID is a letter this exchange wrote
	keep       bool         // the response is an outcome to store: it is read whole before it is passed on
}

// Identity is who an adapter is in metrics, letters, logs and answers.
type Identity struct {
	Name    string // in the configuration, and the path prefix
	ID      string // label of everything that is observed
	Version string
	Origin  string // scheme and authority of the upstream
	Base    string // its base path, without a slash at the end
}

// KeySource says where an idempotency key came from.
type KeySource uint8

// The sources of a key.
const (
	KeyNone        KeySource = iota
	KeyApplication           // sent by the application
	KeyDerived               // made from fields of the call
	KeyFresh                 // made for this exchange alone: nobody else can know it
)

// Key is the idempotency key of an exchange.
type Key struct {
	Value  string
	Source KeySource
	Scope  string // hex of the store's scope; "" when the key is not remembered
}

// Replay is the wish to send a letter again, or to look up what came of it.
type Replay struct {
	Letter *dlq.Letter
	Force  bool
	Absent bool // the provider was asked, and the letter's call has not taken effect
	Stored bool // set when the key was found finished: nothing was sent
}

// stillUnknown reports whether a replay that did not succeed leaves its letter's key as doubtful as it was: the call
// that became a letter may have taken effect, whatever came of sending it again.
func (r *Replay) stillUnknown() bool {
	return r != nil && r.Letter.Error.Type == problem.TypeOutcomeUnknown && !r.Absent
}

// NewLetterID returns the id of the letter that keeps this exchange, or will, should one be needed. It is the same on
// every call, so that a key of unknown outcome can name its letter before the letter is written.
func (x *Exchange) NewLetterID() string {
	if x.Replay != nil {
		return x.Replay.Letter.ID
	}
	if x.Delivery != nil { // the letter of an accepted exchange has its id
		return x.Delivery.Exchange.ID
	}
	if x.letterID == "" {
		x.letterID = dlq.NewID()
	}
	return x.letterID
}

// beginAttempt makes the private copy of the request for another attempt.
func (x *Exchange) beginAttempt() {
	x.attempt = x.Request
	x.attempt.Fields = x.Request.Fields.Clone(4)
	x.dress()
	x.nameAttempt()
}

// Remaining is the time left of the whole exchange.
func (x *Exchange) Remaining() time.Duration { return time.Until(x.Deadline) }

// wait sleeps for d, or until the application goes away.
func (x *Exchange) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-x.Ctx.Done():
		return x.gone()
	case <-x.stopping():
		return drained()
	}
}

// askRedis returns a context for one question to Redis, which ends when patience does. done must be called when the
// question is answered.
func (x *Exchange) askRedis(ctx context.Context) (waiting context.Context, done func()) {
	waiting, spent := x.Patience.Spend(ctx)
	if !x.trace.recorded || !x.Patience.Bounded() {
		return waiting, spent
	}
	start := time.Now()
	return waiting, func() {
		spent()
		x.waited(waitRedis, start)
	}
}

// ErrStopped is the cause with which the sidecar ends the context of exchanges when it has to stop before they are done.
var ErrStopped = errors.New("the sidecar had to stop")

// gone says why the exchange's context ended: the application went away, or the sidecar has to stop. In that case
// there is somebody to be answered.
func (x *Exchange) gone() error {
	if context.Cause(x.Ctx) != ErrStopped {
		return ErrCanceled
	}
	x.shortened = true
	p := totalTimeout()
	p.Detail = "The sidecar had to stop before the external system answered."
	return p
}

// Facts is what an answer made by the sidecar says of this exchange.
func (x *Exchange) Facts() problem.Exchange {
	f := problem.Exchange{CorrelationID: x.CorrelationID, Attempts: len(x.Attempts), LetterID: x.LetterID}
	if x.Adapter != nil {
		f.AdapterID = x.Adapter.ID
	}
	return f
}
