package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/policy"
)

// sharing is a sidecar in front of a Redis that others use too.
func sharing(t *testing.T, redis *miniredis.Miniredis, adapters string) *rig {
	t.Helper()
	client, err := shared.Open(shared.Config{Addresses: []string{redis.Addr()}, Prefix: "test", Budget: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	<-client.Probed()
	r := newRig(t, func(d *policy.Deps) { d.Shared = client })
	if err := r.server.Use(document(t, adapters)); err != nil {
		t.Fatal(err)
	}
	return r
}

// hands is the letter in the spool of another sidecar, as read from the sink.
func (r *rig) hands(other *rig, l *dlq.Letter) {
	r.t.Helper()
	if taken, err := other.deps.Letters.Adopt(r.t.Context(), l, "op"); err != nil || !taken {
		r.t.Fatalf("adopted %v, %v", taken, err)
	}
}

func TestALetterIsReplayedByOneSidecarAtATimeAndOnce(t *testing.T) {
	open := make(chan struct{})
	u := upstream.Script(t, upstream.Status(503), upstream.Gate(upstream.OK(""), open))
	redis := miniredis.RunT(t)
	a, b := sharing(t, redis, erp(u.URL())), sharing(t, redis, erp(u.URL()))
	l := a.failed()
	a.hands(b, l)
	first := make(chan ReplayResult)
	go func() {
		result, _ := a.server.Replay(context.Background(), l.ID, ReplayOptions{})
		first <- result
	}()
	u.WaitHits(2)
	if got := b.replay(l.ID, ReplayOptions{Force: true, Run: "r"}); got.Result != "refused" || !got.Retryable || !strings.Contains(got.Reason, "another sidecar") {
		t.Errorf("meanwhile: %+v", got)
	}
	if got := b.replay(l.ID, ReplayOptions{DryRun: true}); got.Result != "refused" || !got.Retryable || got.Reason != "another sidecar is replaying it" {
		t.Errorf("a dry run meanwhile: %+v", got)
	}
	close(open)
	if got := <-first; got.Result != "replayed" {
		t.Errorf("%+v", got)
	}
	for range 2 { // it leaves everything as it was
		if got := b.replay(l.ID, ReplayOptions{DryRun: true}); got.Result != "would-resolve" || !strings.Contains(got.Reason, "another sidecar has replayed it") {
			t.Errorf("a dry run afterwards: %+v", got)
		}
	}
	if got := b.replay(l.ID, ReplayOptions{Force: true}); got.Result != "resolved" || !strings.Contains(got.Reason, "another sidecar has replayed it") {
		t.Errorf("afterwards: %+v", got)
	}
	if mine, _ := b.deps.Letters.Get(l.ID); mine.State != dlq.Resolved {
		t.Errorf("state %s", mine.State)
	}
}

// The copy that another sidecar read from the sink says that the outcome is known; since then it was sent again.
func TestADoubtfulReplayIsDoubtfulToEverySidecar(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.CloseAfterRead(), upstream.Status(404), upstream.OK(""))
	redis := miniredis.RunT(t)
	const settled = `reconcile: { path: "/orders/{key}", settle: 1m }`
	a, b := sharing(t, redis, erp(u.URL())), sharing(t, redis, erp(u.URL()))
	l := a.failed()
	a.hands(b, l)
	if got := a.replay(l.ID, ReplayOptions{}); got.Result != "failed" {
		t.Errorf("%+v", got)
	}
	for _, dry := range []bool{true, false} {
		if got := b.replay(l.ID, ReplayOptions{DryRun: dry}); got.Result != "refused" || !strings.Contains(got.Reason, "unknown") {
			t.Errorf("in the other, dry run %v: %+v", dry, got)
		}
	}
	if err := b.server.Use(document(t, erp(u.URL(), settled))); err != nil {
		t.Fatal(err)
	}
	if got := b.replay(l.ID, ReplayOptions{}); got.Result != "refused" || !strings.Contains(b.actions(l.ID), "reconcile.settle") {
		t.Errorf("%+v: a lookup right after the other's try proves nothing\n%s", got, b.actions(l.ID))
	}
	if got := b.replay(l.ID, ReplayOptions{Force: true}); got.Result != "replayed" {
		t.Errorf("by force: %+v", got)
	}
}

func TestADryRunSaysWhenRedisCannotBeAsked(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503))
	redis := miniredis.RunT(t)
	a := sharing(t, redis, erp(u.URL()))
	l := a.failed()
	if got := a.replay(l.ID, ReplayOptions{DryRun: true}); got.Result != "would-send" {
		t.Errorf("%+v", got)
	}
	redis.Close()
	if got := a.replay(l.ID, ReplayOptions{DryRun: true}); got.Result != "refused" || !got.Retryable || !strings.HasPrefix(got.Reason, "redis does not answer") {
		t.Errorf("without Redis: %+v", got)
	}
	if got := a.replay(l.ID, ReplayOptions{DryRun: true, Force: true}); got.Result != "would-send" || !strings.HasPrefix(got.Reason, "redis does not answer") {
		t.Errorf("by force: %+v", got)
	}
}

func TestAFailedReplayGivesItsClaimBack(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Status(500), upstream.OK(""))
	redis := miniredis.RunT(t)
	a, b := sharing(t, redis, erp(u.URL())), sharing(t, redis, erp(u.URL()))
	l := a.failed()
	a.hands(b, l)
	if got := a.replay(l.ID, ReplayOptions{}); got.Result != "failed" {
		t.Errorf("%+v", got)
	}
	if got := b.replay(l.ID, ReplayOptions{}); got.Result != "replayed" {
		t.Errorf("%+v", got)
	}
}

func TestWithoutRedisAnAdoptedLetterNeedsHonouredKeysOrForce(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.OK(""))
	r := serve(t, erp(u.URL()))
	l := r.failed()
	gone := *l
	gone.ID = dlq.NewID()
	if got := r.server.DryRun(t.Context(), &gone, ReplayOptions{FromSink: true}); got.Result != "refused" || !strings.Contains(got.Reason, "sink") {
		t.Errorf("before it is adopted: %+v", got)
	}
	r.hands(r, &gone)
	if got := r.replay(gone.ID, ReplayOptions{}); got.Result != "refused" || !strings.Contains(got.Reason, "sink") {
		t.Errorf("%+v", got)
	}
	if err := r.server.Use(document(t, erp(u.URL(), "idempotency: { honoured: true }"))); err != nil {
		t.Fatal(err)
	}
	if got := r.replay(gone.ID, ReplayOptions{}); got.Result != "replayed" {
		t.Errorf("honoured: %+v", got)
	}
}

func TestALetterOfOthersCannotLeaveItsAdapter(t *testing.T) {
	r := serve(t, erp("http://127.0.0.1:1"))
	for _, target := range []string{"", "@evil.example.com/", "//x/../../y", "/a/../../b", "http://evil.example.com/"} {
		l := &dlq.Letter{ID: dlq.NewID(), State: dlq.Dead, OriginalMessage: dlq.Message{Method: "POST", Target: target}, Metadata: dlq.Metadata{Adapter: "erp", FirstAttempt: time.Now()}}
		if got := r.server.DryRun(t.Context(), l, ReplayOptions{Force: true}); got.Result != "refused" && !strings.HasPrefix(target, "//") {
			t.Errorf("%q: %+v", target, got)
		}
	}
}
