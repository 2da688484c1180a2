package idempotency_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/idempotency/storetest"
	"github.com/fsm-integrations/sidecar/internal/shared"
)

// A server is a Redis and its clock; the time of its clients is theirs to choose.
type server struct {
	*miniredis.Miniredis
	clock *clock
}

func newServer(t testing.TB) *server {
	s := &server{Miniredis: miniredis.RunT(t), clock: newClock()}
	s.SetTime(s.clock.Now())
	return s
}

func (s *server) advance(d time.Duration) {
	s.clock.Advance(d)
	s.SetTime(s.clock.Now())
	s.FastForward(d)
}

// store is one process's store on the server, on the server's clock.
func (s *server) store(t testing.TB, o idempotency.RedisOptions) *idempotency.Redis {
	o.Now = s.clock.Now
	return storeAt(t, s.Addr(), o)
}

func storeAt(t testing.TB, address string, o idempotency.RedisOptions) *idempotency.Redis {
	t.Helper()
	client, err := shared.Open(shared.Config{Addresses: []string{address}, Prefix: "test", Budget: time.Second})
	must(t, err)
	store := idempotency.NewRedis(client, o)
	t.Cleanup(func() {
		_ = store.Close()
		_ = client.Close()
	})
	return store
}

func TestRedis(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		s := newServer(t)
		return storetest.Subject{Store: s.store(t, idempotency.RedisOptions{MaxBody: 1 << 20}), Advance: s.advance}
	})
}

// ask begins and fails the test on an error or another verdict.
func ask(t testing.TB, s idempotency.Store, q idempotency.Request, want idempotency.Verdict) idempotency.Decision {
	t.Helper()
	d, err := s.Begin(context.Background(), q)
	must(t, err)
	if d.Verdict != want {
		t.Fatalf("verdict %d, want %d", d.Verdict, want)
	}
	return d
}

func resend(q idempotency.Request) idempotency.Request {
	q.Resend = true
	return q
}

func answered(text string) *idempotency.Outcome {
	return &idempotency.Outcome{Status: 201, Body: []byte(text)}
}

// settled waits until nothing is pending in s.
func settled(t testing.TB, s *idempotency.Redis) {
	t.Helper()
	eventually(t, "everything to be settled", func() bool { return s.Stats().Pending == 0 })
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestTwoStoresOnOneRedisAreOne(t *testing.T) {
	s := newServer(t)
	a, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	owner := ask(t, a, q, idempotency.Granted).Owner
	other := q
	other.Fingerprint[0]++
	ask(t, b, other, idempotency.Reused)
	var waiters sync.WaitGroup
	for range 20 {
		waiters.Go(func() {
			<-ask(t, b, q, idempotency.InFlight).Done
			if d := ask(t, b, q, idempotency.Replay); string(d.Outcome.Body) != "ok" {
				t.Errorf("replayed %q", d.Outcome.Body)
			}
		})
	}
	must(t, b.Finish(t.Context(), q.Scope, owner, answered("not b's to finish"), time.Hour))
	time.Sleep(20 * time.Millisecond) // let some of them wait
	ask(t, b, other, idempotency.Reused)
	must(t, a.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour))
	waiters.Wait()
	ask(t, a, q, idempotency.Replay)
}

func TestOneOfManyInManyProcessesIsGranted(t *testing.T) {
	s := newServer(t)
	var granted, replayed counter
	var callers sync.WaitGroup
	for range 4 {
		store := s.store(t, idempotency.RedisOptions{})
		for range 25 {
			callers.Go(func() {
				q := request("k")
				for {
					d, err := store.Begin(t.Context(), q)
					switch {
					case err != nil:
						t.Error(err)
						return
					case d.Verdict == idempotency.Granted:
						granted.add()
						if err := store.Finish(t.Context(), q.Scope, d.Owner, answered("once"), time.Hour); err != nil {
							t.Error(err)
						}
						return
					case d.Verdict == idempotency.Replay:
						replayed.add()
						return
					}
					<-d.Done
				}
			})
		}
	}
	callers.Wait()
	if granted.n != 1 || replayed.n != 99 {
		t.Fatalf("%d granted, %d replayed", granted.n, replayed.n)
	}
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func TestTheKeyOfADeadProcessIsUnknownAfterTheLiveness(t *testing.T) {
	s := newServer(t)
	dead, b := s.store(t, idempotency.RedisOptions{}), s.store(t, idempotency.RedisOptions{})
	q := request("k")
	former := ask(t, dead, q, idempotency.Granted)
	s.advance(9999 * time.Millisecond) // and no heartbeat
	done := ask(t, b, q, idempotency.InFlight).Done
	s.advance(time.Millisecond)
	<-done
	if d := ask(t, b, q, idempotency.Unknown); d.LetterID != q.LetterID {
		t.Errorf("letter %q", d.LetterID)
	}
	before := token(t, s, q)
	present := ask(t, b, resend(q), idempotency.Granted)
	if after := token(t, s, q); after <= before {
		t.Errorf("token %s after %s", after, before)
	}
	must(t, dead.Finish(t.Context(), q.Scope, former.Owner, answered("too late"), time.Hour))
	must(t, b.Finish(t.Context(), q.Scope, present.Owner, answered("present"), time.Hour))
	if d := ask(t, dead, q, idempotency.Replay); string(d.Outcome.Body) != "present" {
		t.Errorf("replayed %q", d.Outcome.Body)
	}
}

func field(s *server, q idempotency.Request, name string) string {
	return s.HGet("test:key:"+q.Scope.String(), name)
}

func token(t testing.TB, s *server, q idempotency.Request) string {
	t.Helper()
	token := field(s, q, "token")
	if len(token) != 16 {
		t.Fatalf("token %q is not in µs", token)
	}
	return token
}

func TestTheTokenGrowsWithEachChangeOfHands(t *testing.T) {
	s := newServer(t) // its clock stands still
	store, q, last := s.store(t, idempotency.RedisOptions{}), request("k"), ""
	for range 5 {
		owner := ask(t, store, q, idempotency.Granted).Owner
		if now := token(t, s, q); now <= last {
			t.Fatalf("token %s after %s", now, last)
		}
		last = token(t, s, q)
		must(t, store.Release(t.Context(), q.Scope, owner))
	}
}

func TestALivingOwnerKeepsItsKeyPastTheLivenessUntilItsLeaseEnds(t *testing.T) {
	m := miniredis.RunT(t)
	o := idempotency.RedisOptions{Liveness: 150 * time.Millisecond}
	a, b := storeAt(t, m.Addr(), o), storeAt(t, m.Addr(), o)
	q := request("k")
	q.Lease = 900 * time.Millisecond
	ask(t, a, q, idempotency.Granted)
	for end := time.Now().Add(600 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		ask(t, b, q, idempotency.InFlight)
	}
	eventually(t, "the lease to end", func() bool {
		d, err := b.Begin(t.Context(), q)
		return err == nil && d.Verdict == idempotency.Unknown
	})
}

func TestAClosedStoresKeysAreUnknownAndItsFinishedOnesStay(t *testing.T) {
	s := newServer(t)
	a := s.store(t, idempotency.RedisOptions{})
	ask(t, a, request("in flight"), idempotency.Granted)
	done := ask(t, a, request("in flight"), idempotency.InFlight).Done
	owner := ask(t, a, request("finished"), idempotency.Granted).Owner
	must(t, a.Finish(t.Context(), request("finished").Scope, owner, answered("ok"), time.Hour))
	must(t, a.Close())
	<-done
	if _, err := a.Begin(t.Context(), request("in flight")); err == nil {
		t.Error("a closed store decides")
	}
	b := s.store(t, idempotency.RedisOptions{})
	ask(t, b, request("finished"), idempotency.Replay)
	ask(t, b, request("in flight"), idempotency.InFlight)
	s.advance(10 * time.Second)
	eventually(t, "the watch to notice", func() bool {
		d, err := b.Begin(t.Context(), request("in flight"))
		return err == nil && d.Verdict == idempotency.Unknown
	})
	s.advance(25 * time.Hour)
	ask(t, b, request("in flight"), idempotency.Granted)
}

func TestABodyAboveTheBoundIsOmitted(t *testing.T) {
	s := newServer(t)
	store := s.store(t, idempotency.RedisOptions{MaxBody: 10})
	for body, omitted := range map[string]bool{"0123456789": false, "0123456789+": true} {
		q := request(body)
		owner := ask(t, store, q, idempotency.Granted).Owner
		must(t, store.Finish(t.Context(), q.Scope, owner, answered(body), time.Hour))
		d := ask(t, store, q, idempotency.Replay)
		if d.Outcome.Omitted != omitted || d.Outcome.Status != 201 || (len(d.Outcome.Body) == 0) != omitted {
			t.Errorf("%q: %+v", body, d.Outcome)
		}
	}
}

func TestAnOutcomeThatCannotBeReadMakesItsKeyUnknown(t *testing.T) {
	s := newServer(t)
	store, q := s.store(t, idempotency.RedisOptions{}), request("k")
	owner := ask(t, store, q, idempotency.Granted).Owner
	must(t, store.Finish(t.Context(), q.Scope, owner, answered("ok"), time.Hour))
	s.HSet("test:key:"+q.Scope.String(), "outcome", "rubbish")
	if d := ask(t, store, q, idempotency.Unknown); d.LetterID != q.LetterID {
		t.Errorf("letter %q", d.LetterID)
	}
}
