package policy

import (
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
)

// replayOf is an operator's replay of the letter that keeps x.
func replayOf(t *testing.T, x *Exchange, kind problem.ErrorType, force bool) *Exchange {
	r := testExchange(t, x.Request.Method, x.Target, string(x.Request.Body.Bytes))
	r.Replay = &Replay{Force: force, Letter: &dlq.Letter{ID: x.NewLetterID(), Error: dlq.Failure{Type: kind},
		Metadata: dlq.Metadata{IdempotencyKey: x.Key.Value, Scope: x.Key.Scope, Fresh: x.Key.Source == KeyFresh}}}
	return r
}

func TestAReplayKeepsItsLettersKey(t *testing.T) {
	store, s, calls := openKeys(t, nil), testSettings(), 0
	stage := keyStages(s, testIdentity(), store)
	for name, x := range map[string]*Exchange{"sent by the application": keyedCall(t, "k", "{}"), "made here": testExchange(t, "POST", "/orders", "{}")} {
		_, _ = stage(answers(503, "", &calls))(x)
		r := replayOf(t, x, problem.TypeServerError, false)
		r.Tenant = "another one would be another scope"
		if _, err := stage(answers(200, "", &calls))(r); err != nil {
			t.Fatal(err)
		}
		if r.Key.Value != x.Key.Value || r.Key.Scope != x.Key.Scope || r.Request.Fields.Get("X-Idempotency-Key") != x.Key.Value || (r.Key.Source == KeyFresh) != (x.Key.Source == KeyFresh) {
			t.Errorf("%s: %+v, was %+v", name, r.Key, x.Key)
		}
	}
	old := testExchange(t, "POST", "/orders", "{}") // kept when idempotency was off
	r := replayOf(t, old, problem.TypeServerError, false)
	if _, err := stage(answers(200, "", &calls))(r); err != nil || r.Key.Source != KeyFresh || r.Key.Value == "" {
		t.Errorf("a letter without a key: %+v, %v", r.Key, err)
	}
}

func TestAReplayOfAFinishedKeySendsNothing(t *testing.T) {
	store, calls := openKeys(t, nil), 0
	stage := keyStages(testSettings(), testIdentity(), store)(answers(201, "made", &calls))
	x := keyedCall(t, "k", "{}")
	_, _ = stage(x)
	r := replayOf(t, x, problem.TypeServerError, false)
	resp, err := stage(r)
	if err != nil || string(resp.Content) != "made" || !r.Replay.Stored || calls != 1 {
		t.Errorf("%v, %v, stored %v after %d calls", resp, err, r.Replay.Stored, calls)
	}
}

func TestOnlyForceReplaysAnUnknownOutcome(t *testing.T) {
	store, s, calls := openKeys(t, nil), testSettings(), 0
	first := unknownCall(t, s, store)
	stage := keyStages(s, testIdentity(), store)
	if _, err := stage(answers(200, "", &calls))(replayOf(t, first, problem.TypeOutcomeUnknown, false)); kindOf(err) != problem.OutcomeUnknown || calls != 0 {
		t.Errorf("without force: %v after %d calls", err, calls)
	}
	if _, err := stage(answers(503, "", &calls))(replayOf(t, first, problem.TypeOutcomeUnknown, true)); err != nil || calls != 1 {
		t.Errorf("with force: %v after %d calls", err, calls)
	}
	x := keyedCall(t, "k", "{}") // the replay failed: what the first call did is as unknown as it was
	_, err := stage(answers(200, "", &calls))(x)
	if p, ok := err.(*problem.Problem); !ok || p.Kind != problem.OutcomeUnknown || p.LetterID != first.NewLetterID() || calls != 1 {
		t.Errorf("after a replay that failed: %v after %d calls", err, calls)
	}
	if _, err := stage(answers(200, "", &calls))(replayOf(t, first, problem.TypeOutcomeUnknown, true)); err != nil || calls != 2 {
		t.Errorf("with force again: %v after %d calls", err, calls)
	}
	if _, ok := idempotency.ParseScope(first.Key.Scope); !ok {
		t.Errorf("scope %q", first.Key.Scope)
	}
}
