// Package storetest holds every implementation of idempotency.Store to the same behaviour.
package storetest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// A Subject is a store to test and the clock it goes by.
type Subject struct {
	Store   idempotency.Store
	Advance func(time.Duration) // moves the store's clock on, at once
}

const (
	lease = time.Minute
	ttl   = 10 * time.Minute
)

// Run tests the stores that open makes: a new, empty one at each call, closed by its own clean-up. The doubt about a
// claim whose lease ran out must last a day or more in them.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"an unused key is granted, with an owner of its own":     testGranted,
		"a key in flight makes others wait":                      testInFlight,
		"a finished key replays its outcome":                     testReplay,
		"a released key is free":                                 testRelease,
		"an abandoned key is unknown":                            testAbandon,
		"a key whose lease ran out is unknown":                   testLeaseRanOut,
		"an owner that was late may still finish":                testLateFinish,
		"the same key for another request":                       testReused,
		"a former owner can do nothing":                          testFormerOwner,
		"a stranger can do nothing":                              testStranger,
		"outcomes and doubts expire":                             testExpiry,
		"waiters wake when the key may have changed":             testWaiters,
		"of many that come at once one is granted":               testOneGranted,
		"keys do not touch each other":                           testApart,
		"a canceled caller is told so":                           testCanceled,
		"any order of steps agrees with the model":               testModel,
		"many owners of many keys at once":                       testManyKeys,
		"an unknown key that is taken over takes the new letter": testTakenOverLetter,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func scopeOf(key string) idempotency.Scope {
	return idempotency.NewScope("tenant", "adapter", "POST", "/orders", key)
}

func request(key, body string) idempotency.Request {
	return idempotency.Request{
		Scope: scopeOf(key), Fingerprint: idempotency.NewFingerprint("", []byte(body)), LetterID: "letter of " + body, Lease: lease,
	}
}

func outcome(text string) *idempotency.Outcome {
	return &idempotency.Outcome{
		Status: 201,
		Fields: wire.Fields{{Name: "Content-Type", Value: "text/plain"}, {Name: "X-a", Value: ""}, {Name: "x-A", Value: "2"}},
		Body:   []byte(text),
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func begin(t failer, s idempotency.Store, r idempotency.Request, want idempotency.Verdict) idempotency.Decision {
	t.Helper()
	d, err := s.Begin(context.Background(), r)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if d.Verdict != want {
		t.Fatalf("verdict %d, want %d", d.Verdict, want)
	}
	return d
}

func check(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func finish(t failer, s idempotency.Store, key string, owner idempotency.Owner, o *idempotency.Outcome) {
	t.Helper()
	check(t, s.Finish(context.Background(), scopeOf(key), owner, o, ttl))
}

func testGranted(t *testing.T, s Subject) {
	a := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	b := begin(t, s.Store, request("b", "x"), idempotency.Granted)
	if a.Owner == b.Owner || a.Owner == (idempotency.Owner{}) {
		t.Fatalf("owners %x and %x", a.Owner, b.Owner)
	}
}

func testInFlight(t *testing.T, s Subject) {
	begin(t, s.Store, request("a", "x"), idempotency.Granted)
	d := begin(t, s.Store, request("a", "x"), idempotency.InFlight)
	select {
	case <-d.Done:
		t.Fatal("done already")
	default:
	}
	again := request("a", "x")
	again.Resend = true
	begin(t, s.Store, again, idempotency.InFlight)
}

func testReplay(t *testing.T, s Subject) {
	large := make([]byte, 300_000)
	for key, o := range map[string]*idempotency.Outcome{
		"full":    outcome("ok"),
		"bare":    {Status: 204},
		"omitted": {Status: 200, Omitted: true},
		"large":   {Status: 200, Body: large},
	} {
		d := begin(t, s.Store, request(key, "x"), idempotency.Granted)
		finish(t, s.Store, key, d.Owner, o)
		for _, resend := range []bool{false, true} {
			r := request(key, "x")
			r.Resend = resend
			if got := begin(t, s.Store, r, idempotency.Replay); !reflect.DeepEqual(got.Outcome, o) {
				t.Fatalf("%s: got %+v, want %+v", key, got.Outcome, o)
			}
		}
	}
}

func testRelease(t *testing.T, s Subject) {
	d := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	check(t, s.Store.Release(t.Context(), scopeOf("a"), d.Owner))
	begin(t, s.Store, request("a", "other"), idempotency.Granted)
}

func testAbandon(t *testing.T, s Subject) {
	d := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	check(t, s.Store.Abandon(t.Context(), scopeOf("a"), d.Owner, ttl))
	if got := begin(t, s.Store, request("a", "x"), idempotency.Unknown); got.LetterID != "letter of x" {
		t.Fatalf("letter %q", got.LetterID)
	}
	r := request("a", "x")
	r.Resend = true
	begin(t, s.Store, r, idempotency.Granted)
	begin(t, s.Store, r, idempotency.InFlight)
}

func testLeaseRanOut(t *testing.T, s Subject) {
	begin(t, s.Store, request("a", "x"), idempotency.Granted)
	s.Advance(lease - time.Millisecond)
	begin(t, s.Store, request("a", "x"), idempotency.InFlight)
	s.Advance(time.Millisecond)
	if got := begin(t, s.Store, request("a", "x"), idempotency.Unknown); got.LetterID != "letter of x" {
		t.Fatalf("letter %q", got.LetterID)
	}
	begin(t, s.Store, request("a", "other"), idempotency.Reused)
}

func testLateFinish(t *testing.T, s Subject) {
	d := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	s.Advance(2 * lease)
	begin(t, s.Store, request("a", "x"), idempotency.Unknown)
	finish(t, s.Store, "a", d.Owner, outcome("late"))
	begin(t, s.Store, request("a", "x"), idempotency.Replay)
}

func testReused(t *testing.T, s Subject) {
	other := request("a", "other")
	other.Resend = true
	d := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	begin(t, s.Store, other, idempotency.Reused)
	check(t, s.Store.Abandon(t.Context(), scopeOf("a"), d.Owner, ttl))
	begin(t, s.Store, other, idempotency.Reused)
	r := request("a", "x")
	r.Resend = true
	d = begin(t, s.Store, r, idempotency.Granted)
	finish(t, s.Store, "a", d.Owner, outcome("ok"))
	begin(t, s.Store, other, idempotency.Reused)
}

func testFormerOwner(t *testing.T, s Subject) {
	former := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	s.Advance(lease)
	r := request("a", "x")
	r.Resend = true
	present := begin(t, s.Store, r, idempotency.Granted)
	if former.Owner == present.Owner {
		t.Fatal("the owner did not change")
	}
	noStep(t, s.Store, "a", former.Owner)
	begin(t, s.Store, request("a", "x"), idempotency.InFlight)
	finish(t, s.Store, "a", present.Owner, outcome("present"))
	noStep(t, s.Store, "a", former.Owner)
	noStep(t, s.Store, "a", present.Owner)
	if got := begin(t, s.Store, request("a", "x"), idempotency.Replay); string(got.Outcome.Body) != "present" {
		t.Fatalf("replayed %q", got.Outcome.Body)
	}
}

// noStep tries every step of an owner that has no claim.
func noStep(t *testing.T, s idempotency.Store, key string, owner idempotency.Owner) {
	t.Helper()
	finish(t, s, key, owner, outcome("not by this owner"))
	check(t, s.Release(t.Context(), scopeOf(key), owner))
	check(t, s.Abandon(t.Context(), scopeOf(key), owner, ttl))
}

func testStranger(t *testing.T, s Subject) {
	noStep(t, s.Store, "never used", idempotency.Owner{1})
	begin(t, s.Store, request("never used", "x"), idempotency.Granted)
	noStep(t, s.Store, "never used", idempotency.Owner{1})
	noStep(t, s.Store, "never used", idempotency.Owner{})
	begin(t, s.Store, request("never used", "x"), idempotency.InFlight)
}

func testExpiry(t *testing.T, s Subject) {
	d := begin(t, s.Store, request("finished", "x"), idempotency.Granted)
	finish(t, s.Store, "finished", d.Owner, outcome("ok"))
	d = begin(t, s.Store, request("unknown", "x"), idempotency.Granted)
	check(t, s.Store.Abandon(t.Context(), scopeOf("unknown"), d.Owner, ttl))
	s.Advance(ttl - time.Second)
	begin(t, s.Store, request("finished", "x"), idempotency.Replay)
	begin(t, s.Store, request("unknown", "x"), idempotency.Unknown)
	s.Advance(time.Second)
	begin(t, s.Store, request("finished", "other"), idempotency.Granted)
	begin(t, s.Store, request("unknown", "other"), idempotency.Granted)
}

func testApart(t *testing.T, s Subject) {
	a := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	b := begin(t, s.Store, request("b", "y"), idempotency.Granted)
	noStep(t, s.Store, "a", b.Owner)
	finish(t, s.Store, "b", b.Owner, outcome("b"))
	begin(t, s.Store, request("a", "x"), idempotency.InFlight)
	finish(t, s.Store, "a", a.Owner, outcome("a"))
	if got := begin(t, s.Store, request("b", "y"), idempotency.Replay); string(got.Outcome.Body) != "b" {
		t.Fatalf("replayed %q", got.Outcome.Body)
	}
}

func testCanceled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Store.Begin(ctx, request("a", "x")); err == nil {
		t.Fatal("no error")
	}
	begin(t, s.Store, request("a", "x"), idempotency.Granted)
}

func testTakenOverLetter(t *testing.T, s Subject) {
	d := begin(t, s.Store, request("a", "x"), idempotency.Granted)
	check(t, s.Store.Abandon(t.Context(), scopeOf("a"), d.Owner, ttl))
	r := request("a", "x")
	r.Resend, r.LetterID = true, "second"
	begin(t, s.Store, r, idempotency.Granted)
	s.Advance(lease)
	if got := begin(t, s.Store, request("a", "x"), idempotency.Unknown); got.LetterID != "second" {
		t.Fatalf("letter %q", got.LetterID)
	}
}
