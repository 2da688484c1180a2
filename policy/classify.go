package policy

import (
	"errors"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// ErrCanceled is the error of an exchange whose application went away. Nobody is there to be answered.
var ErrCanceled = errors.New("the application went away")

// Class is what an attempt or an exchange came to, in the words of the contract's table (section 4).
type Class uint8

// The classes of outcomes.
const (
	Success     Class = iota // 2xx, 3xx
	ClientError              // 4xx that will not change, 501, 505
	TryLater                 // 408, 425
	Throttled                // 429 of the external system
	ServerError              // other 5xx
	Network                  // refused, reset, DNS, TLS
	AttemptTime              // the attempt's deadline
	TotalTime                // the whole call's deadline
	BadResponse              // truncated or malformed
	BreakerOpen              // refused by the breaker
	LocalLimit               // refused by our rate limit
	ClientGone               // the application went away
	Partial                  // a success of which the body says that some of it failed (classify)
	Garbled                  // a success that transform.response could not make anything of
	KeyUnknown               // an earlier call with the key has no known outcome
	Refused                  // any other answer of ours: validation, credentials, idempotency, draining, internal
	classes
)

type breakerEffect uint8

const (
	neutral breakerEffect = iota
	success
	failure
)

// judgement is one row of the table.
type judgement struct {
	retry   string // the word in retry.on that allows another try; "" never
	breaker breakerEffect
	letter  string // the word in dlq.on that keeps a letter; "" never
	kind    problem.ErrorType
}

// judgements is the contract's table. Retry, breaker, letter and metrics all ask it and nothing else.
//
// A final 4xx counts as a success of the breaker: the external system is there and answered. What asks us to come
// later (408, 425, 429) says nothing about its health.
//
// A partial failure is never tried again, not even where keys are honoured: the provider would repeat its answer, or
// the part that succeeded.
var judgements = [classes]judgement{
	Success:     {"", success, "", problem.TypeNone},
	ClientError: {"", success, "", problem.TypeClientError},
	TryLater:    {"timeout", neutral, "timeout", problem.TypeClientError},
	Throttled:   {"429", neutral, "429", problem.TypeRateLimited},
	ServerError: {"5xx", failure, "5xx", problem.TypeServerError},
	Network:     {"network", failure, "network", problem.TypeNetwork},
	AttemptTime: {"timeout", failure, "timeout", problem.TypeTimeout},
	TotalTime:   {"", failure, "timeout", problem.TypeTimeout},
	BadResponse: {"network", failure, "network", problem.TypeNetwork},
	BreakerOpen: {"", neutral, "circuit_open", problem.TypeCircuitOpen},
	LocalLimit:  {"", neutral, "", problem.TypeRateLimited},
	ClientGone:  {"", neutral, "", problem.TypeCanceled},
	Partial:     {"", success, "partial_failure", problem.TypePartialFailure},
	Garbled:     {"", success, "", problem.TypeServerError},
	KeyUnknown:  {"", neutral, "outcome_unknown", problem.TypeOutcomeUnknown},
	Refused:     {"", neutral, "", problem.TypeInternal},
}

// classify finds the row of a response or an error.
func classify(resp *wire.Response, err error) Class {
	if err != nil {
		return classifyError(err)
	}
	switch resp.Outcome {
	case wire.PartialFailure:
		return Partial
	case wire.ServerError:
		return ServerError
	case wire.ClientError:
		return ClientError
	}
	switch s := resp.Status; {
	case s < 400:
		return Success
	case s == 408 || s == 425:
		return TryLater
	case s == 429:
		return Throttled
	case s < 500 || s == 501 || s == 505:
		return ClientError
	}
	return ServerError
}

func classifyError(err error) Class {
	if err == ErrCanceled {
		return ClientGone
	}
	p, ok := err.(*problem.Problem)
	if !ok {
		return Refused
	}
	switch p.Kind {
	case problem.UpstreamUnreachable:
		return Network
	case problem.UpstreamTimeout:
		return AttemptTime
	case problem.TotalTimeout:
		return TotalTime
	case problem.BadUpstreamResponse:
		return BadResponse
	case problem.CircuitOpen:
		return BreakerOpen
	case problem.RateLimited:
		return LocalLimit
	case problem.TransformFailed:
		switch p.ErrorType() { // else it is the application's request
		case problem.TypePartialFailure:
			return Partial
		case problem.TypeServerError:
			return Garbled
		}
	case problem.OutcomeUnknown:
		if p.ErrorType() == problem.TypeOutcomeUnknown { // not an outcome that is known and too large to repeat
			return KeyUnknown
		}
	}
	return Refused
}

// errorType is what metrics, letters and logs say of an outcome.
func errorType(resp *wire.Response, err error) problem.ErrorType {
	if p, ok := err.(*problem.Problem); ok {
		return p.ErrorType()
	}
	return judgements[classify(resp, err)].kind
}

// unanswered reports whether an attempt that ended like this, once sent, may have taken effect without our knowing.
func (c Class) unanswered() bool {
	switch c {
	case Network, AttemptTime, TotalTime, BadResponse, ClientGone:
		return true
	}
	return false
}

// Succeeded reports whether a response is a success, as its status and its body say.
func Succeeded(resp *wire.Response) bool { return classify(resp, nil) == Success }

// storable reports whether a response is an outcome to replay: a success, also in part, or a refusal that is final
// (contract section 4; 409 asks the application to resolve a conflict and try again, and 401 is about credentials, which
// change: the request itself was not processed).
func storable(resp *wire.Response) bool {
	class := classify(resp, nil)
	return class == Success || class == Partial || class == ClientError && resp.Status < 500 && resp.Status != 401 && resp.Status != 409
}
