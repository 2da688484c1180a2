package proxy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// failed makes one call that leaves a letter.
func (r *rig) failed(fields ...string) *dlq.Letter {
	r.t.Helper()
	a := r.call("POST", "/erp/orders?x=1", `{"a":1}`, fields...)
	id := a.Header.Get("X-Dead-Letter-Id")
	l, err := r.deps.Letters.Get(id)
	if err != nil {
		r.t.Fatalf("%v left no letter: %v", a.Response, err)
	}
	return l
}

func (r *rig) replay(id string, o ReplayOptions) ReplayResult {
	r.t.Helper()
	result, err := r.server.Replay(r.t.Context(), id, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func TestAReplayPassesTheWholeChainAgain(t *testing.T) {
	t.Setenv("REPLAY_TEST_KEY", "k")
	u := upstream.Script(t, upstream.Status(503), upstream.Status(201))
	r := serve(t, erp(u.URL()+"/api", "sign: { secret: env:REPLAY_TEST_KEY, content: \"{timestamp}.{id}.{body}\" }", "auth: { bearer: env:REPLAY_TEST_KEY }", "context: { forward: [tenant] }"))
	l := r.failed("Idempotency-Key", "key-1", "X-Tenant-ID", "acme", "X-User-ID", "u-1", "X-Correlation-ID", "corr-9")
	if got := r.replay(l.ID, ReplayOptions{Who: "op", DryRun: true}); got.Result != "would-send" || u.Hits() != 1 {
		t.Fatalf("%+v after %d requests", got, u.Hits())
	}
	if got := r.replay(l.ID, ReplayOptions{Who: "op"}); got.Result != "replayed" || got.Status != 201 || got.Attempts != 1 || got.ID != l.ID {
		t.Errorf("%+v", got)
	}
	first, second := u.Request(1), u.Request(2)
	for _, name := range []string{"X-Idempotency-Key", "X-Correlation-Id", "X-Tenant-Id", "Authorization"} {
		if a, b := first.Fields.Get(name), second.Fields.Get(name); a != b || a == "" {
			t.Errorf("%s was %q and is %q", name, a, b)
		}
	}
	if second.Target != "/api/orders?x=1" || string(second.Body) != `{"a":1}` || second.Fields.Get("X-Signature") == first.Fields.Get("X-Signature") || second.Fields.Has("X-User-ID") {
		t.Errorf("sent %s%s", second.Raw, second.Body)
	}
	l, _ = r.deps.Letters.Get(l.ID)
	last := l.Audit[len(l.Audit)-1]
	if l.State != dlq.Replayed || len(l.Attempts) != 2 || l.Attempts[1].Number != 2 || last.Who != "op" || last.Action != "replay" || last.Outcome != "replayed" || last.Time.IsZero() {
		t.Errorf("letter %s, attempts %v, audit %v", l.State, l.Attempts, l.Audit)
	}
	if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "refused" {
		t.Errorf("again: %+v", got)
	}
}

func TestAReplayThatFailsLeavesTheLetterOpen(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []upstream.Step
		status int
	}{"answered": {[]upstream.Step{upstream.Status(503), upstream.Status(400)}, 400}, "broken": {[]upstream.Step{upstream.Status(503), upstream.CloseAfterRead()}, 0}} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, erp(upstream.Script(t, c.steps...).URL()))
			l := r.failed()
			got := r.replay(l.ID, ReplayOptions{Who: "op"})
			after, _ := r.deps.Letters.Get(l.ID)
			if got.Result != "failed" || got.Status != c.status || got.Reason == "" || after.State != dlq.Dead || len(after.Attempts) != 2 || len(r.letters()) != 1 {
				t.Errorf("%+v, letter %s with %d attempts", got, after.State, len(after.Attempts))
			}
			if unknown := after.Error.Type == "outcome_unknown"; unknown != (c.status == 0) {
				t.Errorf("error type %s", after.Error.Type)
			}
		})
	}
}

func TestAnUnknownOutcomeIsReplayedByForceOnly(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.OK(""))
	r := serve(t, erp(u.URL()))
	l := r.failed("Idempotency-Key", "k")
	if got := r.replay(l.ID, ReplayOptions{}); got.Result != "refused" || !strings.Contains(got.Reason, "unknown") {
		t.Errorf("%+v", got)
	}
	if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "replayed" {
		t.Errorf("by force: %+v", got)
	}
	if a := r.call("POST", "/erp/orders?x=1", `{"a":1}`, "Idempotency-Key", "k"); a.StatusCode != 200 || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the application's own retry: %v %q", a.Response, a.body)
	}
}

func TestAReplayThatCannotBeSentIsRefused(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503))
	r := serve(t, erp(u.URL(), "breaker: { failure_threshold: 1, success_threshold: 1, reset_timeout: 1h }"))
	l := r.failed("Idempotency-Key", "k")
	if got := r.replay(l.ID, ReplayOptions{}); got.Result != "refused" || got.Status != 0 || got.Attempts != 0 || got.Reason != "the breaker is open, nothing was sent; try again after 1h" {
		t.Errorf("the breaker is open: %+v", got)
	}
	if err := r.server.SetBreaker("erp", BreakerOpen); err != nil {
		t.Fatal(err)
	}
	if got := r.replay(l.ID, ReplayOptions{}); got.Status != 0 || got.Reason != heldOpen+"; nothing was sent" {
		t.Errorf("the breaker is open by hand: %+v", got)
	}
	if _, err := r.server.Replay(t.Context(), "no such letter", ReplayOptions{}); !errors.Is(err, dlq.ErrNotFound) {
		t.Errorf("no such letter: %v", err)
	}
	if err := r.server.Use(document(t, crm(u.URL()))); err != nil {
		t.Fatal(err)
	}
	if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "refused" || !strings.Contains(got.Reason, "erp") {
		t.Errorf("no adapter: %+v", got)
	}
}

func TestOneReplayOfALetterRunsAtATime(t *testing.T) {
	open := make(chan struct{})
	u := upstream.Script(t, upstream.Status(503), upstream.Gate(upstream.OK(""), open))
	r := serve(t, erp(u.URL()))
	l := r.failed()
	first := make(chan ReplayResult)
	go func() {
		result, _ := r.server.Replay(context.Background(), l.ID, ReplayOptions{})
		first <- result
	}()
	u.WaitHits(2)
	if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "refused" || !strings.Contains(got.Reason, "already") {
		t.Errorf("%+v", got)
	}
	close(open)
	if got := <-first; got.Result != "replayed" {
		t.Errorf("%+v", got)
	}
}

// Contract section 8: the sidecar ends within its drain time, whatever an operator has under way.
func TestTheEndOfADrainCutsReplaysOff(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Hang())
	r := serve(t, erp(u.URL()))
	l := r.failed()
	replayed := make(chan ReplayResult)
	go func() {
		result, _ := r.server.Replay(context.Background(), l.ID, ReplayOptions{Who: "op"})
		replayed <- result
	}()
	u.WaitHits(2)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	start := time.Now()
	if err := r.server.Shutdown(over); err == nil || time.Since(start) > 10*time.Second { // the attempt alone may take 30 s
		t.Errorf("%v after %v: the drain did not cut the replay off", err, time.Since(start))
	}
	if got := <-replayed; got.Result != "failed" {
		t.Errorf("%+v", got)
	}
	if after, _ := r.deps.Letters.Get(l.ID); after.State != dlq.Dead || after.Error.Type != "outcome_unknown" {
		t.Errorf("letter %s of type %s", after.State, after.Error.Type)
	}
	if got := r.replay(l.ID, ReplayOptions{Force: true}); got.Result != "refused" {
		t.Errorf("after the drain: %+v", got)
	}
}
