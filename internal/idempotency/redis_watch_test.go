package idempotency_test

import (
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

// awaited waits for what Done promises.
func awaited(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("not woken within 10 s")
	}
}

func TestAKeyThatRedisForgetsWhileSomebodyWaitsIsNotGrantedToHim(t *testing.T) {
	s := newServer(t)
	a := s.store(t, idempotency.RedisOptions{Liveness: 2 * time.Second})
	b := s.store(t, idempotency.RedisOptions{Liveness: 2 * time.Second})
	q := failOpen(request("k"))
	owner := ask(t, a, q, idempotency.Granted).Owner
	done := ask(t, b, q, idempotency.InFlight).Done
	s.FlushAll()
	s.advance(time.Second) // a heartbeat is due
	eventually(t, "the owner to put it back", func() bool { return field(s, q, "state") == "claimed" })
	ask(t, b, q, idempotency.InFlight)
	must(t, a.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour))
	awaited(t, done)
	if d := ask(t, b, q, idempotency.Replay); string(d.Outcome.Body) != "ok" {
		t.Errorf("replayed %q", d.Outcome.Body)
	}
}

func TestAForgottenKeyWhoseOwnerIsGoneTooIsUnknown(t *testing.T) {
	s := newServer(t)
	a := s.store(t, idempotency.RedisOptions{})
	b := s.store(t, idempotency.RedisOptions{Liveness: 500 * time.Millisecond})
	q := failOpen(request("k"))
	ask(t, a, q, idempotency.Granted)
	done := ask(t, b, q, idempotency.InFlight).Done
	must(t, a.Close()) // as good as dead: no heartbeat any more
	s.FlushAll()
	awaited(t, done)
	if d := ask(t, b, q, idempotency.Unknown); d.LetterID != q.LetterID {
		t.Errorf("letter %q", d.LetterID)
	}
	ask(t, b, resend(q), idempotency.Granted)
}

func TestAKeyInFlightElsewhereIsNotGrantedBecauseRedisFails(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	q := failOpen(request("k"))
	owner := ask(t, a, q, idempotency.Granted).Owner
	done := ask(t, b, q, idempotency.InFlight).Done
	s.SetError("LOADING")
	start := time.Now()
	awaited(t, done)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("woken after %s", took)
	}
	if d := ask(t, b, q, idempotency.InFlight); d.Done != nil {
		t.Error("made to wait for what cannot be seen")
	}
	if d := ask(t, b, resend(q), idempotency.Granted); d.Degraded == nil { // the provider drops duplicates
		t.Error("granted with Redis' word")
	}
	s.SetError("")
	reachable(t, a)
	must(t, a.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour))
}
