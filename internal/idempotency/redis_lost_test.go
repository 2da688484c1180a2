package idempotency_test

import (
	"context"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

// deadline is a context whose deadline is over: an exchange that spent its patience.
func deadline(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithDeadline(t.Context(), time.Now())
}

// unheard begins through a line that loses the replies, and returns when Redis has run the claim.
func unheard(t *testing.T, s *server, line *lossy, a *idempotency.Redis, q idempotency.Request) (idempotency.Decision, error) {
	t.Helper()
	before := field(s, q, "owner")
	ask(t, a, request("a connection and the script"), idempotency.Granted)
	line.mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	d, err := a.Begin(ctx, q)
	if field(s, q, "owner") == before {
		t.Fatal("Redis did not hear of it")
	}
	line.mute.Store(false)
	return d, err
}

func TestAClaimWhoseReplyWasLostIsTakenBack(t *testing.T) {
	s := newServer(t)
	line := newLossy(t, s.Addr())
	a, b := storeAt(t, line.address, idempotency.RedisOptions{Now: s.clock.Now}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	if _, err := unheard(t, s, line, a, q); err == nil {
		t.Fatal("no error")
	}
	settled(t, a)
	q.Fingerprint[0]++
	ask(t, b, q, idempotency.Granted)
}

func TestATakeoverWhoseReplyWasLostLeavesTheKeyUnknown(t *testing.T) {
	s := newServer(t)
	line := newLossy(t, s.Addr())
	a, b := storeAt(t, line.address, idempotency.RedisOptions{Now: s.clock.Now}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	owner := ask(t, b, q, idempotency.Granted).Owner
	must(t, b.Abandon(t.Context(), q.Scope, owner, time.Hour))
	second := resend(q)
	second.LetterID = "never sent"
	if _, err := unheard(t, s, line, a, second); err == nil {
		t.Fatal("no error")
	}
	if d := ask(t, a, q, idempotency.Unknown); d.LetterID != q.LetterID { // although the undo may still be pending
		t.Errorf("letter %q", d.LetterID)
	}
	settled(t, a)
	if d := ask(t, b, q, idempotency.Unknown); d.LetterID != q.LetterID {
		t.Errorf("letter %q", d.LetterID)
	}
}

func TestAClaimWhoseReplyWasLostIsOursWhenItIsGrantedWithoutRedis(t *testing.T) {
	s := newServer(t)
	line := newLossy(t, s.Addr())
	a, b := storeAt(t, line.address, idempotency.RedisOptions{Now: s.clock.Now}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	d, err := unheard(t, s, line, a, failOpen(q))
	must(t, err)
	if d.Verdict != idempotency.Granted || d.Degraded == nil || field(s, q, "owner") != d.Owner.String() {
		t.Fatalf("%+v, in Redis %s", d, field(s, q, "owner"))
	}
	ask(t, b, q, idempotency.InFlight)
	must(t, a.Finish(t.Context(), q.Scope, d.Owner, answered("ok"), time.Hour))
	eventually(t, "b to see it", func() bool {
		d, err := b.Begin(t.Context(), q)
		return err == nil && d.Verdict == idempotency.Replay
	})
}

// unheardEnd claims the key and ends the claim with step, whose reply is lost, and returns when Redis has run it.
func unheardEnd(t *testing.T, s *server, a *idempotency.Redis, line *lossy, step func(context.Context, idempotency.Request, idempotency.Owner) error) {
	t.Helper()
	warm := request("a connection and the script")
	must(t, step(t.Context(), warm, ask(t, a, warm, idempotency.Granted).Owner))
	q := request("k")
	owner := ask(t, a, q, idempotency.Granted).Owner
	line.mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := step(ctx, q, owner); err == nil {
		t.Fatal("no error")
	}
	if got := field(s, q, "state"); got == "claimed" {
		t.Fatal("Redis did not hear of it")
	}
}

func TestAFinishWhoseReplyWasLostIsTriedAgainWithoutHarm(t *testing.T) {
	s := newServer(t)
	line := newLossy(t, s.Addr())
	a, b, q := storeAt(t, line.address, idempotency.RedisOptions{Now: s.clock.Now}), s.store(t, idempotency.RedisOptions{}), request("k")
	unheardEnd(t, s, a, line, func(ctx context.Context, q idempotency.Request, o idempotency.Owner) error {
		return a.Finish(ctx, q.Scope, o, answered("ok"), time.Hour)
	})
	ask(t, b, q, idempotency.Replay)
	before := token(t, s, q)
	line.mute.Store(false)
	settled(t, a)
	ask(t, b, q, idempotency.Replay)
	if got := token(t, s, q); got != before {
		t.Error("it was written twice")
	}
}

func TestAReleaseWhoseReplyWasLostDoesNotFreeTheNextOwnersKey(t *testing.T) {
	s := newServer(t)
	line := newLossy(t, s.Addr())
	a, b, q := storeAt(t, line.address, idempotency.RedisOptions{Now: s.clock.Now}), s.store(t, idempotency.RedisOptions{}), request("k")
	unheardEnd(t, s, a, line, func(ctx context.Context, q idempotency.Request, o idempotency.Owner) error {
		return a.Release(ctx, q.Scope, o)
	})
	present := ask(t, b, q, idempotency.Granted)
	line.mute.Store(false)
	settled(t, a)
	must(t, b.Finish(t.Context(), q.Scope, present.Owner, answered("b"), time.Hour))
	if d := ask(t, b, q, idempotency.Replay); string(d.Outcome.Body) != "b" {
		t.Errorf("replayed %q", d.Outcome.Body)
	}
}
