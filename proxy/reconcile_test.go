package proxy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

const lookup = `reconcile: { path: "/orders/{key}", applied_when: status 2xx, settle: 0s }`

// actions are the actions and outcomes in a letter's history.
func (r *rig) actions(id string) string {
	r.t.Helper()
	l, err := r.deps.Letters.Get(id)
	if err != nil {
		r.t.Fatal(err)
	}
	var rows []string
	for _, a := range l.Audit {
		rows = append(rows, a.Action+" "+a.Outcome)
	}
	return strings.Join(rows, "\n")
}

func TestACallThatTookEffectIsNotSentAgain(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.Status(204))
	r := serve(t, erp(u.URL()+"/api", lookup))
	l := r.failed("Idempotency-Key", "k/1")
	if got := r.replay(l.ID, ReplayOptions{Who: "op"}); got.Result != "resolved" || got.Attempts != 0 {
		t.Errorf("%+v", got)
	}
	if q := u.Request(2); q.Method != "GET" || q.Target != "/api/orders/k%2F1" || q.Fields.Has("X-Idempotency-Key") || q.Fields.Get("X-Correlation-Id") != l.Metadata.CorrelationID {
		t.Errorf("asked with %s", q.Raw)
	}
	if l, _ = r.deps.Letters.Get(l.ID); l.State != dlq.Resolved {
		t.Errorf("state %s", l.State)
	}
	if got := r.actions(l.ID); !strings.HasPrefix(got, "reconcile applied: GET /orders/k%2F1 answered 204\nreplay resolved: ") {
		t.Errorf("history:\n%s", got)
	}
}

func TestACallThatCertainlyDidNotTakeEffectIsSentWithoutHonouredKeys(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.Status(404), upstream.Status(503), upstream.Status(404), upstream.Status(201))
	r := serve(t, erp(u.URL(), lookup))
	l := r.failed("Idempotency-Key", "k")
	if got := r.replay(l.ID, ReplayOptions{}); got.Result != "failed" || got.Status != 503 {
		t.Errorf("%+v", got)
	}
	if got := r.replay(l.ID, ReplayOptions{}); got.Result != "replayed" {
		t.Errorf("%+v", got)
	}
	if got := r.actions(l.ID); strings.Count(got, "reconcile not applied: ") != 2 || strings.Contains(got, "begun") {
		t.Errorf("history:\n%s", got)
	}
}

func TestALookupThatProvesNothingLeavesTheRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		steps []upstream.Step
		says  string
		edit  string
	}{
		"another answer": {[]upstream.Step{upstream.Status(410)}, "answered 410", lookup},
		"no answer":      {[]upstream.Step{upstream.CloseAfterRead()}, "was not answered", lookup},
		"too early":      {[]upstream.Step{upstream.Status(404)}, "less than 1m ago (reconcile.settle)", `reconcile: { path: "/orders/{key}" }`},
		"not askable":    {nil, "has no {body:/none}", `reconcile: { path: "/orders/{body:/none}" }`},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, append([]upstream.Step{upstream.CloseAfterRead()}, c.steps...)...)
			r := serve(t, erp(u.URL(), c.edit))
			l := r.failed("Idempotency-Key", "k")
			if got := r.replay(l.ID, ReplayOptions{}); got.Result != "refused" || got.Retryable != (name == "too early") || !strings.Contains(got.Reason, "unknown") {
				t.Errorf("%+v", got)
			}
			if got := r.actions(l.ID); !strings.Contains(got, "reconcile unknown: ") || !strings.Contains(got, c.says) {
				t.Errorf("history:\n%s", got)
			}
			if n := len(r.letters()); n != 1 {
				t.Errorf("%d letters, want one: a lookup leaves none", n)
			}
		})
	}
}

func TestForceAndKnownOutcomesAskNobody(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.OK(""), upstream.Status(503), upstream.OK(""))
	r := serve(t, erp(u.URL(), lookup))
	unknown := r.failed("Idempotency-Key", "k1")
	if got := r.replay(unknown.ID, ReplayOptions{Force: true}); got.Result != "replayed" {
		t.Errorf("by force: %+v", got)
	}
	known := r.failed("Idempotency-Key", "k2")
	if got := r.replay(known.ID, ReplayOptions{}); got.Result != "replayed" || u.Request(4).Method != "POST" {
		t.Errorf("of known outcome: %+v", got)
	}
}
