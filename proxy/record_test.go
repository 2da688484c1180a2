package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestAReplayThatWasCutOffLeavesTheOutcomeUnknown(t *testing.T) {
	for honoured, result := range map[string]string{"true": "replayed", "false": "refused"} {
		u := upstream.Script(t, upstream.Status(503), upstream.OK(""))
		r := serve(t, erp(u.URL(), "idempotency: { honoured: "+honoured+" }"))
		l := r.failed()
		err := r.deps.Letters.Update(t.Context(), l.ID, func(l *dlq.Letter) error { // what a crash leaves behind
			l.Audit = append(l.Audit, dlq.Audit{Time: time.Now(), Who: "op", Action: dlq.ActionReplay, Outcome: outcomeBegun})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.replay(l.ID, ReplayOptions{}); got.Result != result {
			t.Errorf("honoured %s: %+v", honoured, got)
		}
		if honoured == "false" {
			if got := r.replay(l.ID, ReplayOptions{}); got.Result != "refused" {
				t.Errorf("the refusal is taken for an outcome: %+v", got)
			}
			if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "replayed" {
				t.Errorf("by force: %+v", got)
			}
		}
	}
}

func TestARefusalIsWrittenOnTheLetterUnlessItWillPass(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.Status(503))
	r := serve(t, erp(u.URL(), "breaker: { failure_threshold: 2, reset_timeout: 1h }"))
	unknown, known := r.failed(), r.failed()
	tried := func(id string) bool {
		l, _ := r.deps.Letters.Get(id)
		return !dlq.Filter{Untried: "r"}.Matches(l)
	}
	if got := r.replay(unknown.ID, ReplayOptions{Who: "ann", Run: "r"}); got.Result != "refused" || got.Retryable || !tried(unknown.ID) {
		t.Errorf("%+v, tried %v", got, tried(unknown.ID))
	}
	if rows := r.actions(unknown.ID); !strings.HasPrefix(rows, "replay refused: its outcome is unknown") {
		t.Errorf("history: %s", rows)
	}
	if got := r.replay(known.ID, ReplayOptions{Who: "ann", Run: "r"}); got.Result != "refused" || !got.Retryable || tried(known.ID) {
		t.Errorf("through an open breaker: %+v, tried %v", got, tried(known.ID))
	}
}

func TestALetterThatIsNotWholeIsNotSent(t *testing.T) {
	r := serve(t, erp("http://127.0.0.1:1"))
	for want, m := range map[string]dlq.Message{"without its body": {Method: "POST", Target: "/", BodyOmitted: true}, "sealed": {Method: "POST", SealedWith: "abcd"}} {
		l := &dlq.Letter{ID: dlq.NewID(), State: dlq.Dead, OriginalMessage: m, Metadata: dlq.Metadata{Adapter: "erp", FirstAttempt: time.Now()}}
		if got := r.server.DryRun(t.Context(), l, ReplayOptions{Force: true}); got.Result != "refused" || !strings.Contains(got.Reason, want) {
			t.Errorf("%+v", got)
		}
	}
}
