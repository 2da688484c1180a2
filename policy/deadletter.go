package policy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// DeadLetter says which final failures are kept as letters.
type DeadLetter struct {
	On         []string `yaml:"on" default:"network,timeout,429,5xx,circuit_open,outcome_unknown,partial_failure" enum:"network,timeout,429,5xx,circuit_open,outcome_unknown,partial_failure" doc:"Final outcomes that are kept."`
	Methods    []string `yaml:"methods" default:"POST,PUT,PATCH,DELETE" doc:"Methods whose failures are kept."`
	AutoReplay bool     `yaml:"auto_replay" default:"false" doc:"Replay letters by themselves when the breaker closes again; only to a provider that honours keys."`
}

// AutoReplayed reports whether letters are replayed by themselves: only to a provider that honours keys.
func (s *Settings) AutoReplayed() bool {
	return s.DeadLetter != nil && s.DeadLetter.AutoReplay && s.Idempotency != nil && s.Idempotency.Honoured
}

func (d *DeadLetter) check(r Report) {
	for _, m := range d.Methods {
		if !validFieldName(m) || m == "CONNECT" || m == "TRACE" {
			r.Fault("dlq.methods", m+" is not a method")
		}
	}
}

// deadLetter keeps an exchange that finally failed, before the application is answered, and resolves the letters of a
// key that succeeded after all. A replay writes no letter: its own is updated by who asked for it.
func deadLetter(s *Settings, id *Identity, spool *dlq.Spool) Stage {
	if s.DeadLetter == nil {
		return nil
	}
	keeper := &keeper{DeadLetter: *s.DeadLetter, id: id, spool: spool, private: newPrivacy(s)}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			resp, err := next(x)
			switch {
			case x.Accepted != nil, x.Again: // nothing has come of it yet
			case err == nil && classify(resp, nil) == Success:
				keeper.resolve(x)
			case x.Replay == nil && keeper.wants(x, resp, err):
				keeper.keep(x, resp, err)
			}
			return resp, err
		}
	}
}

// keeper is what deadLetter knows at load.
type keeper struct {
	DeadLetter
	id      *Identity
	spool   *dlq.Spool
	private privacy
}

// wants reports whether the outcome is one that is kept.
func (k *keeper) wants(x *Exchange, resp *wire.Response, err error) bool {
	if x.Idempotency == "replayed" { // the call that brought this outcome has its letter
		return false
	}
	word := judgements[classify(resp, err)].letter
	if x.Unknown {
		word = "outcome_unknown"
	}
	if word == "" { // nobody waits for the answer to an accepted exchange: its problem is kept whatever it is
		return x.Delivery != nil && err != nil && classify(resp, err) != Garbled && slices.Contains(k.Methods, x.Request.Method)
	}
	return slices.Contains(k.On, word) && slices.Contains(k.Methods, x.Request.Method)
}

// keep writes the letter. An exchange refused because of an earlier call's unknown outcome gets that call's letter;
// if the earlier call's process died before it wrote one, this exchange, which is the same request, becomes it.
func (k *keeper) keep(x *Exchange, resp *wire.Response, err error) {
	id := x.NewLetterID()
	if p, ok := err.(*problem.Problem); ok && p.LetterID != "" {
		id = p.LetterID
		if k.spool.Has(id) {
			x.LetterID = id
			return
		}
	}
	letter := k.letter(x, id, resp, err)
	if putErr := k.spool.Put(context.WithoutCancel(x.Ctx), letter); putErr != nil {
		x.LetterLost, x.SpoolError = true, putErr
		if x.Delivery != nil {
			x.Delivery.Unkept = letter
		}
		return
	}
	x.LetterID, x.letterKept = id, true
}

// resolve marks the letters of a key that succeeded. It is nearly free when there are none.
func (k *keeper) resolve(x *Exchange) {
	if x.Key.Scope == "" || x.Replay != nil {
		return
	}
	if _, err := k.spool.ResolveScope(context.WithoutCancel(x.Ctx), x.Key.Scope, "sidecar"); err != nil {
		x.SpoolError = err
	}
}

func (k *keeper) letter(x *Exchange, id string, resp *wire.Response, err error) *dlq.Letter {
	now := time.Now()
	first, last := x.Start, now
	if n := len(x.Attempts); n > 0 {
		first, last = x.Attempts[0].Start, x.Attempts[n-1].Start
	}
	return &dlq.Letter{
		ID: id, State: dlq.Dead, Attempts: slices.Clone(x.Attempts),
		OriginalMessage: k.message(x),
		Error:           failureOf(x, resp, err),
		Metadata: dlq.Metadata{
			Attempts: len(x.Attempts), FirstAttempt: first, LastAttempt: last, CorrelationID: x.CorrelationID,
			AdapterID: k.id.ID, Adapter: k.id.Name, AdapterVersion: k.id.Version, TenantID: x.Tenant, UserID: x.User,
			IdempotencyKey: x.Key.Value, Scope: x.Key.Scope, Fresh: x.Key.Source == KeyFresh, Created: now,
		},
	}
}

func (k *keeper) message(x *Exchange) dlq.Message {
	m := dlq.Message{Method: x.Request.Method, URL: k.id.Origin + x.Request.Target, Target: x.Target, Operation: x.Operation,
		Body: x.Request.Body.Bytes, Headers: make(dlq.Headers, 0, len(x.Request.Fields))}
	for _, f := range k.private.strip(x.Request.Fields) {
		m.Headers = append(m.Headers, dlq.Header{Name: f.Name, Value: f.Value})
	}
	m.KeepRaw()
	digest := sha256.Sum256(m.Body)
	m.BodyDigest = "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
	return m
}

// failureOf says why the exchange failed: the upstream's status, or our problem.
func failureOf(x *Exchange, resp *wire.Response, err error) dlq.Failure {
	f := dlq.Failure{Type: errorType(resp, err)}
	if x.Unknown {
		f.Type = problem.TypeOutcomeUnknown
	}
	switch p, ok := err.(*problem.Problem); {
	case ok:
		f.Code, f.Message = string(p.Kind), p.Detail
	case err != nil:
		f.Code, f.Message = "canceled", "The application went away while the call was under way; its outcome is not known."
	case resp.Outcome == wire.PartialFailure:
		f.Code = strconv.Itoa(resp.Status)
		f.Message = "The external system answered " + f.Code + ", and its body says that some of the call failed (classify.failed_when)."
	default:
		f.Code = strconv.Itoa(resp.Status)
		f.Message = "The external system answered " + f.Code + " to the last attempt."
	}
	return f
}
