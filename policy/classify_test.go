package policy

import (
	"errors"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// contractRow is a row of the classification in section 4 of the contract, and of what a body can add to it.
type contractRow struct {
	class   Class
	retry   bool
	breaker breakerEffect
	letter  bool
	kind    problem.ErrorType
}

var contractRows = []contractRow{
	{Success, false, success, false, ""},
	{ClientError, false, success, false, "client_error"},
	{TryLater, true, neutral, true, "client_error"},
	{Throttled, true, neutral, true, "rate_limited"},
	{ServerError, true, failure, true, "server_error"},
	{Network, true, failure, true, "network"},
	{AttemptTime, true, failure, true, "timeout"},
	{TotalTime, false, failure, true, "timeout"},
	{BadResponse, true, failure, true, "network"},
	{BreakerOpen, false, neutral, true, "circuit_open"},
	{LocalLimit, false, neutral, false, "rate_limited"},
	{ClientGone, false, neutral, false, "canceled"},
	{Partial, false, success, true, "partial_failure"},
	{Garbled, false, success, false, "server_error"},
	{KeyUnknown, false, neutral, true, "outcome_unknown"},
	{Refused, false, neutral, false, "internal"},
}

func TestJudgementsAreTheContractsTable(t *testing.T) {
	if len(contractRows) != int(classes) || len(judgements) != int(classes) {
		t.Fatalf("%d rows here, %d judgements, %d classes", len(contractRows), len(judgements), classes)
	}
	retryWords := map[string]bool{"": true, "network": true, "timeout": true, "429": true, "5xx": true}
	letterWords := map[string]bool{"": true, "network": true, "timeout": true, "429": true, "5xx": true, "circuit_open": true, "outcome_unknown": true, "partial_failure": true}
	for i, want := range contractRows {
		got := judgements[want.class]
		if int(want.class) != i {
			t.Errorf("row %d is class %d", i, want.class)
		}
		if (got.retry != "") != want.retry || got.breaker != want.breaker || (got.letter != "") != want.letter || got.kind != want.kind {
			t.Errorf("class %d: %+v, want %+v", want.class, got, want)
		}
		if !retryWords[got.retry] || !letterWords[got.letter] {
			t.Errorf("class %d: %+v has a word that no configuration can hold", want.class, got)
		}
	}
}

func TestStatusesFallIntoTheirRows(t *testing.T) {
	rows := map[Class][]int{
		Success:     {200, 201, 204, 206, 299, 300, 301, 304, 308},
		ClientError: {400, 401, 403, 404, 405, 406, 407, 409, 410, 413, 415, 418, 422, 423, 424, 426, 428, 431, 451, 499, 501, 505},
		TryLater:    {408, 425},
		Throttled:   {429},
		ServerError: {500, 502, 503, 504, 506, 507, 508, 510, 511, 520, 599, 999},
	}
	for want, statuses := range rows {
		for _, status := range statuses {
			if got := classify(&wire.Response{Status: status}, nil); got != want {
				t.Errorf("%d is class %d, want %d", status, got, want)
			}
		}
	}
}

func TestEveryKindFallsIntoItsRow(t *testing.T) {
	rows := map[problem.Kind]Class{
		problem.UpstreamUnreachable: Network, problem.UpstreamTimeout: AttemptTime, problem.TotalTimeout: TotalTime,
		problem.BadUpstreamResponse: BadResponse, problem.CircuitOpen: BreakerOpen, problem.RateLimited: LocalLimit,
		problem.OutcomeUnknown: KeyUnknown,
	}
	for _, entry := range problem.Kinds() {
		want, special := rows[entry.Kind]
		if !special {
			want = Refused
		}
		if got := classifyError(problem.New(entry.Kind, "")); got != want {
			t.Errorf("%s is class %d, want %d", entry.Kind, got, want)
		}
	}
	if got := classifyError(ErrCanceled); got != ClientGone {
		t.Errorf("ErrCanceled is class %d", got)
	}
	if got := classifyError(errors.New("unexpected")); got != Refused {
		t.Errorf("an unknown error is class %d", got)
	}
}

func TestErrorTypeOfAProblemIsItsOwn(t *testing.T) {
	p := problem.New(problem.UpstreamTimeout, "")
	p.Type = problem.TypeOutcomeUnknown
	for _, c := range []struct {
		resp *wire.Response
		err  error
		want problem.ErrorType
	}{
		{nil, p, problem.TypeOutcomeUnknown},
		{nil, problem.New(problem.UpstreamTimeout, ""), problem.TypeTimeout},
		{nil, problem.New(problem.BodyTooLarge, ""), problem.TypeValidation},
		{nil, ErrCanceled, problem.TypeCanceled},
		{&wire.Response{Status: 200}, nil, problem.TypeNone},
		{&wire.Response{Status: 404}, nil, problem.TypeClientError},
		{&wire.Response{Status: 500}, nil, problem.TypeServerError},
		{&wire.Response{Status: 429}, nil, problem.TypeRateLimited},
	} {
		if got := errorType(c.resp, c.err); got != c.want {
			t.Errorf("%v %v: %q, want %q", c.resp, c.err, got, c.want)
		}
	}
}

func TestOnlyFinalAnswersAreStored(t *testing.T) {
	for status, want := range map[int]bool{200: true, 201: true, 204: true, 302: true, 400: true, 404: true, 422: true,
		401: false, 408: false, 409: false, 425: false, 429: false, 500: false, 501: false, 503: false, 505: false} {
		if got := storable(&wire.Response{Status: status}); got != want {
			t.Errorf("%d stored: %v, want %v", status, got, want)
		}
	}
}
