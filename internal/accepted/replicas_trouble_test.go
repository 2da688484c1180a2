package accepted

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

func TestWhenRedisForgetsTheOwnersCopyAgain(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	x, y := exchange("1", "x"), exchange("2", "y")
	f.share(a, x, y)
	f.redis.FlushAll()
	c, _ := f.run(a, Held) // copied with its body
	f.pass(alive, a, b)
	if n := a.Stats().Uncopied; n != 0 {
		t.Errorf("%d have no copy", n)
	}
	must(t, a.PutBack(t.Context(), c, Put{}))
	f.beat(a)
	f.kill(a)
	f.pass(dead+alive, b)
	for _, want := range []*Exchange{x, y} {
		if _, got := f.run(b, Held); got.ID != want.ID || string(got.Body) != string(want.Body) {
			t.Errorf("%+v", got)
		}
	}
}

func TestWithoutRedisOnlyWhatNobodyElseCanKnowIsSent(t *testing.T) {
	f := newFleet(t)
	a := f.open(t.TempDir())
	known := exchange("", "known")
	f.share(a, known)
	f.redis.SetError("LOADING")
	unknown := exchange("o", "unknown")
	accept(t, a, unknown)
	f.run(a, Silent)
	f.run(a, Held)
	if n := a.Stats().Uncopied; n != 1 {
		t.Errorf("%d have no copy, want 1", n)
	}
	f.redis.SetError("")
	a.replicas.step(t.Context())
	if n := a.Stats().Uncopied; n != 0 {
		t.Errorf("%d have no copy after Redis is back", n)
	}
}

// Redis may have been away for longer than anybody could say that he lives.
func TestAfterAnOutageOfRedisNobodyIsTakenForDeadAtOnce(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	f.share(a, exchange("", "x"))
	f.pass(dead, a, b)
	f.redis.SetError("LOADING")
	f.pass(time.Minute, a, b)
	f.redis.SetError("")
	f.pass(alive, b)
	if b.Stats().TakenOver != 0 {
		t.Error("taken over before its owner could say that it lives")
	}
	f.pass(alive, a, b)
	f.run(a, Held)
}

func TestALateWordDoesNotUndoALaterOne(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	x := exchange("", "x")
	f.share(a, x)
	early, ok := a.replicas.callTell(x.ID, false)
	if !ok {
		t.Fatal("not readable")
	}
	f.run(a, Held)
	if value, err := a.replicas.run(t.Context(), early.Script, early.Key, early.Args...); value != "late" || err != nil {
		t.Errorf("%v, %v", value, err)
	}
	f.kill(a)
	f.pass(dead+alive, b)
	if _, got := f.run(b, Held); !got.Doubtful {
		t.Error("nobody doubts what was under way")
	}
}

func TestWhatIsTooLargeStaysAndHoldsBackWhatFollows(t *testing.T) {
	f := newFleet(t)
	small := func(c *Config) { c.Sharing.MaxBytes, c.Sharing.MaxAnswer = 100, 100 }
	a, b := f.open(t.TempDir(), small), f.open(t.TempDir(), small)
	large, after, other := exchange("o", strings.Repeat("x", 101)), exchange("o", "after"), exchange("p", "other")
	for _, x := range []*Exchange{large, after, other} {
		accept(t, a, x)
	}
	f.beat(a)
	if n := a.Stats().Uncopied; n != 2 {
		t.Errorf("%d have no copy, want the large one and what follows it", n)
	}
	c, x := f.run(a, Held)
	if x.ID != large.ID {
		t.Fatalf("%s is first", x.ID)
	}
	finish(t, a, c, strings.Repeat("y", 101))
	f.beat(a)
	if n := a.Stats().Uncopied; n != 0 {
		t.Errorf("%d have no copy once it ended", n)
	}
	if got, err := b.Find(t.Context(), large.ID); err != nil || got.State != Delivered || !got.Result.Omitted {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNoRoomForAnInheritanceIsNoLoss(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir(), func(c *Config) { c.MaxBytes = 12_000 })
	var ids []string
	for range 6 {
		x := exchange("", strings.Repeat("x", 2000))
		f.share(a, x)
		ids = append(ids, x.ID)
	}
	f.kill(a)
	var got []string
	for range 20 {
		f.pass(dead, b)
		for c, _ := b.Next(8); c != nil; c, _ = b.Next(8) {
			x, err := b.Start(t.Context(), c)
			must(t, err)
			got = append(got, x.ID)
			finish(t, b, c, "")
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("delivered %v, want %v", got, ids)
	}
}

func TestAKeyOfOursIsNotLostToAnInheritance(t *testing.T) {
	f := newFleet(t)
	a, b := f.open(t.TempDir()), f.open(t.TempDir())
	theirs, ours := exchange("", "x"), exchange("", "x")
	theirs.Scope = ours.Scope
	f.share(a, theirs)
	f.share(b, ours)
	f.kill(a)
	f.pass(dead+alive, b)
	again := exchange("", "x")
	again.Scope = ours.Scope
	if kept := accept(t, b, again); kept.ID != ours.ID {
		t.Errorf("found as %s, want our own %s", kept.ID, ours.ID)
	}
}

func TestASealedExchangeIsSealedInRedisToo(t *testing.T) {
	f := newFleet(t)
	sealed := func(c *Config) { c.Seal = sealer(t, 1) }
	a, b := f.open(t.TempDir(), sealed), f.open(t.TempDir(), sealed)
	x, end := private()
	f.share(a, x)
	wantNothingIn := func() {
		t.Helper()
		if dump := f.redis.Dump(); strings.Contains(dump, "body-data") || strings.Contains(dump, "answer-data") || strings.Contains(dump, `"target"`) {
			t.Errorf("Redis holds %s", dump)
		}
	}
	wantNothingIn()
	f.kill(a)
	f.pass(dead+alive, b)
	c, got := f.run(b, Held)
	if string(got.Body) != "body-data" || got.Target != x.Target {
		t.Errorf("%+v", got)
	}
	must(t, b.Finish(t.Context(), c, end))
	f.beat(b)
	wantNothingIn()
	if got, err := b.Find(t.Context(), x.ID); err != nil || string(got.Result.Body) != "answer-data" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatNobodyHasIsNotFound(t *testing.T) {
	f := newFleet(t)
	a := f.open(t.TempDir())
	for _, id := range []string{"", "x", NewID(), strings.Repeat("a", 36)} {
		if _, err := a.Find(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	f.redis.SetError("LOADING")
	if _, err := a.Find(t.Context(), NewID()); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("without Redis: %v", err)
	}
}

// Two goroutines of a store that has joined: a copy is there soon after an exchange is accepted.
func TestAnAcceptedExchangeWaitsForItsCopy(t *testing.T) {
	redis := miniredis.RunT(t)
	client, err := shared.Open(shared.Config{Addresses: []string{redis.Addr()}, Prefix: "test"})
	must(t, err)
	defer func() { must(t, client.Close()) }()
	s := openStore(t, Config{Sharing: Sharing{Client: client}})
	s.Join()
	s.Join()
	for deadline := time.Now().Add(10 * time.Second); !s.replicas.registered(); {
		if time.Now().After(deadline) {
			t.Fatal("Redis never heard that it lives")
		}
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 50 {
		x := accept(t, s, exchange("", "x"))
		s.Copied(ctx, x.ID)
	}
	if n := s.Stats().Uncopied; n != 0 {
		t.Errorf("%d have no copy", n)
	}
	must(t, s.Close())
}
