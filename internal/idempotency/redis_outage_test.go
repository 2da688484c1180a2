package idempotency_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

const full = "OOM command not allowed when used memory > 'maxmemory'."

func failOpen(q idempotency.Request) idempotency.Request {
	q.FailOpen = true
	return q
}

// reachable waits until store gets an answer from Redis again.
func reachable(t testing.TB, store *idempotency.Redis) {
	t.Helper()
	eventually(t, "Redis to be back", func() bool {
		_, err := store.Begin(t.Context(), request("is it back?"))
		return err == nil
	})
}

func TestWithoutRedisAKeyIsGrantedOnWhatThisProcessKnows(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	s.SetError(full)
	if _, err := a.Begin(t.Context(), q); err == nil {
		t.Fatal("granted without Redis, and nobody asked for it")
	}
	d := ask(t, a, failOpen(q), idempotency.Granted)
	if d.Degraded == nil {
		t.Fatal("nothing says that Redis did not grant it")
	}
	done := ask(t, a, q, idempotency.InFlight).Done
	other := failOpen(q)
	other.Fingerprint[0]++
	ask(t, a, other, idempotency.Reused)
	if err := a.Finish(t.Context(), q.Scope, d.Owner, answered("alone"), time.Hour); err == nil {
		t.Fatal("Redis is said to have taken it")
	}
	<-done
	if d := ask(t, a, q, idempotency.Replay); string(d.Outcome.Body) != "alone" {
		t.Fatalf("replayed %q", d.Outcome.Body)
	}
	ask(t, a, other, idempotency.Reused)
	if got := a.Stats(); got.Degraded != 1 || got.Pending != 1 || got.PendingBytes == 0 || got.InFlight != 0 {
		t.Fatalf("%+v", got)
	}

	s.SetError("")
	settled(t, a)
	reachable(t, b)
	if d := ask(t, b, q, idempotency.Replay); string(d.Outcome.Body) != "alone" {
		t.Fatalf("replayed %q", d.Outcome.Body)
	}
	if got := a.Stats(); got.Lost != 0 || got.PendingBytes != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestACallGrantedWithoutRedisIsClaimedThereWhenItIsBack(t *testing.T) {
	m := miniredis.RunT(t)
	o := idempotency.RedisOptions{Liveness: 100 * time.Millisecond}
	a, b := storeAt(t, m.Addr(), o), storeAt(t, m.Addr(), o)
	q := request("k")
	m.SetError("LOADING Redis is loading the dataset in memory")
	owner := ask(t, a, failOpen(q), idempotency.Granted).Owner
	m.SetError("")
	eventually(t, "the claim to be put back", func() bool { return a.Stats().Restored == 1 })
	reachable(t, b)
	done := ask(t, b, q, idempotency.InFlight).Done
	must(t, a.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour))
	<-done
	ask(t, b, q, idempotency.Replay)
}

func TestWhatThisProcessDidAloneNeverReplacesWhatOthersDid(t *testing.T) {
	s := newServer(t)
	line := newLossy(t, s.Addr())
	a := storeAt(t, line.address, idempotency.RedisOptions{Now: s.clock.Now})
	b := s.store(t, idempotency.RedisOptions{})
	claimed, finished := request("claimed"), request("finished")
	owner := ask(t, b, finished, idempotency.Granted).Owner
	theirs := ask(t, b, claimed, idempotency.Granted).Owner
	must(t, b.Finish(t.Context(), finished.Scope, owner, answered("b"), time.Hour))

	expired, cancel := deadline(t) // a has no time for Redis
	defer cancel()
	for _, q := range []idempotency.Request{claimed, finished} {
		d, err := a.Begin(expired, failOpen(q))
		must(t, err)
		if d.Verdict != idempotency.Granted || d.Degraded == nil {
			t.Fatalf("%+v", d)
		}
		if err := a.Finish(expired, q.Scope, d.Owner, answered("a"), time.Hour); err == nil {
			t.Fatal("no error")
		}
	}
	settled(t, a)
	must(t, b.Finish(t.Context(), claimed.Scope, theirs, answered("b"), time.Hour))
	for _, q := range []idempotency.Request{claimed, finished} {
		if d := ask(t, a, q, idempotency.Replay); string(d.Outcome.Body) != "b" {
			t.Errorf("replayed %q", d.Outcome.Body)
		}
	}
}

func TestTheLastTurnOfAKeyStandsAfterAnOutage(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	owner := ask(t, a, q, idempotency.Granted).Owner
	s.SetError(full)
	fails := func(err error) {
		t.Helper()
		if err == nil {
			t.Fatal("Redis is said to have taken it")
		}
	}
	fails(a.Abandon(t.Context(), q.Scope, owner, time.Hour))
	if d := ask(t, a, failOpen(q), idempotency.Unknown); d.LetterID != q.LetterID {
		t.Fatalf("letter %q", d.LetterID)
	}
	owner = ask(t, a, failOpen(resend(q)), idempotency.Granted).Owner
	fails(a.Release(t.Context(), q.Scope, owner))
	q.Fingerprint[0]++
	owner = ask(t, a, failOpen(q), idempotency.Granted).Owner
	fails(a.Finish(t.Context(), q.Scope, owner, answered("third"), time.Hour))
	if got := a.Stats().Pending; got != 1 {
		t.Fatalf("%d pending", got)
	}
	s.SetError("")
	settled(t, a)
	reachable(t, b)
	if d := ask(t, b, q, idempotency.Replay); string(d.Outcome.Body) != "third" {
		t.Fatalf("replayed %q", d.Outcome.Body)
	}
}

func TestAReleaseThatIsPendingFreesTheKeyForThisProcessAtOnce(t *testing.T) {
	s := newServer(t)
	a, q := s.store(t, idempotency.RedisOptions{}), request("k")
	owner := ask(t, a, q, idempotency.Granted).Owner
	expired, cancel := deadline(t)
	defer cancel()
	if err := a.Release(expired, q.Scope, owner); err == nil {
		t.Fatal("no error")
	}
	owner = ask(t, a, q, idempotency.Granted).Owner
	settled(t, a)
	must(t, a.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour))
	ask(t, s.store(t, idempotency.RedisOptions{}), q, idempotency.Replay)
}

func TestAfterAFlushTheOwnersOutcomeIsKept(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	kept, taken := request("kept"), request("taken")
	first, late := ask(t, a, kept, idempotency.Granted), ask(t, a, taken, idempotency.Granted)
	s.FlushAll()
	present := ask(t, b, taken, idempotency.Granted)
	must(t, a.Finish(t.Context(), kept.Scope, first.Owner, answered("a"), time.Hour))
	must(t, a.Finish(t.Context(), taken.Scope, late.Owner, answered("a"), time.Hour))
	if d := ask(t, b, kept, idempotency.Replay); string(d.Outcome.Body) != "a" {
		t.Errorf("replayed %q", d.Outcome.Body)
	}
	ask(t, b, taken, idempotency.InFlight)
	must(t, b.Finish(t.Context(), taken.Scope, present.Owner, answered("b"), time.Hour))
	if d := ask(t, a, taken, idempotency.Replay); string(d.Outcome.Body) != "b" {
		t.Errorf("replayed %q", d.Outcome.Body)
	}
}

func TestAHeartbeatPutsALostClaimBackUnlessSomebodyElseHasTheKey(t *testing.T) {
	m := miniredis.RunT(t)
	quick := idempotency.RedisOptions{Liveness: 300 * time.Millisecond}
	a, b := storeAt(t, m.Addr(), quick), storeAt(t, m.Addr(), quick)
	kept, taken := request("kept"), request("taken")
	ask(t, a, kept, idempotency.Granted)
	ask(t, a, taken, idempotency.Granted)
	m.FlushAll()
	owner := ask(t, b, taken, idempotency.Granted).Owner
	eventually(t, "the claim to be put back", func() bool { return a.Stats().Restored == 1 })
	ask(t, b, kept, idempotency.InFlight)
	must(t, b.Finish(t.Context(), taken.Scope, owner, answered("b"), time.Hour))
	eventually(t, "the former owner's process to hear of it", func() bool {
		d, err := a.Begin(t.Context(), taken)
		return err == nil && d.Verdict == idempotency.Replay
	})
}

func TestClosingGivesWhatIsPendingALastChance(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{CloseWithin: 10 * time.Second}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	owner := ask(t, a, q, idempotency.Granted).Owner
	s.SetError(full)
	if err := a.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour); err == nil {
		t.Fatal("no error")
	}
	time.AfterFunc(50*time.Millisecond, func() { s.SetError("") })
	must(t, a.Close())
	reachable(t, b)
	ask(t, b, q, idempotency.Replay)
	if got := a.Stats(); got.Lost != 0 {
		t.Errorf("%+v", got)
	}
}

func TestClosingDoesNotWaitForARedisThatIsGone(t *testing.T) {
	s := newServer(t)
	a, q := s.store(t, idempotency.RedisOptions{CloseWithin: 20 * time.Millisecond}), request("k")
	owner := ask(t, a, q, idempotency.Granted).Owner
	s.Close()
	if err := a.Release(t.Context(), q.Scope, owner); err == nil {
		t.Fatal("no error")
	}
	if err := a.Close(); err == nil || !strings.Contains(err.Error(), "1 keys") {
		t.Errorf("closed with %v, want to be told what is lost", err)
	}
	if got := a.Stats(); got.Lost != 1 {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsPendingIsBounded(t *testing.T) {
	s := newServer(t)
	a := s.store(t, idempotency.RedisOptions{MaxPending: 3, MaxPendingBytes: 2500})
	s.SetError(full)
	names := []string{"lost", "bare", "third", "fourth"}
	for _, name := range names {
		q := failOpen(request(name))
		d := ask(t, a, q, idempotency.Granted)
		if err := a.Finish(t.Context(), q.Scope, d.Owner, answered(string(make([]byte, 1000))), time.Hour); err == nil {
			t.Fatal("no error")
		}
	}
	eventually(t, "the first to be given up", func() bool { return a.Stats().Lost == 1 })
	if got := a.Stats(); got.Pending != 3 || got.PendingBytes > 2500 {
		t.Errorf("%+v", got)
	}
	for i, name := range names[1:] {
		if d := ask(t, a, request(name), idempotency.Replay); d.Outcome.Omitted != (i > 0) || d.Outcome.Status != 201 {
			t.Errorf("%s: %+v", name, d.Outcome)
		}
	}
}

func TestASettlementIsGivenUpWhenItMeansNothingAnyMore(t *testing.T) {
	s := newServer(t)
	a, q := s.store(t, idempotency.RedisOptions{}), failOpen(request("k"))
	s.SetError(full)
	d := ask(t, a, q, idempotency.Granted)
	_ = a.Finish(t.Context(), q.Scope, d.Owner, answered("ok"), time.Hour)
	s.advance(time.Hour)
	eventually(t, "it to be given up", func() bool { return a.Stats().Lost == 1 })
	ask(t, a, q, idempotency.Granted)
}

func TestWithoutRedisAProcessStillKnowsWhatItEndedItself(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	done, doubt, freed := failOpen(request("done")), failOpen(request("doubt")), failOpen(request("freed"))
	must(t, a.Finish(t.Context(), done.Scope, ask(t, a, done, idempotency.Granted).Owner, answered("ok"), time.Hour))
	must(t, a.Abandon(t.Context(), doubt.Scope, ask(t, a, doubt, idempotency.Granted).Owner, time.Hour))
	must(t, a.Release(t.Context(), freed.Scope, ask(t, a, freed, idempotency.Granted).Owner))
	s.SetError(full)
	if d := ask(t, a, done, idempotency.Replay); string(d.Outcome.Body) != "ok" {
		t.Errorf("replayed %q", d.Outcome.Body)
	}
	ask(t, a, doubt, idempotency.Unknown)
	if d := ask(t, a, resend(doubt), idempotency.Granted); d.Degraded == nil {
		t.Error("granted with Redis' word")
	}
	ask(t, a, freed, idempotency.Granted)
	ask(t, b, done, idempotency.Granted) // another process does not know
	s.advance(time.Hour)
	ask(t, a, done, idempotency.Granted)
}
