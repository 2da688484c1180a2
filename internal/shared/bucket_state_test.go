package shared

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

func TestAnEmptiedBucketIsClosedAndRefillsMeanwhile(t *testing.T) {
	w := newWorld(t)
	a, b := w.bucket("k", 10, 2, 0), w.bucket("k", 10, 2, -time.Hour)
	take(t, b, 0)
	a.Empty(a.now().Add(3 * time.Second))
	if take(t, a, 2900*time.Millisecond).Granted {
		t.Fatal("granted by who emptied it")
	}
	wait(t, idle(a))
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{2999 * time.Millisecond, 0}, {time.Millisecond, 6}, {499 * time.Millisecond, 0}, {time.Millisecond, 1}} {
		w.advance(c.after)
		got := 0
		for take(t, b, 0).Granted {
			got++
		}
		if got != c.want {
			t.Fatalf("after %s: %d granted, want %d", c.after, got, c.want)
		}
	}
}

func TestWhoWaitsForAClosedBucketWaitsInTurn(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 2, 1000, 0)
	b.Empty(b.now().Add(time.Second))
	wait(t, idle(b))
	for _, want := range []time.Duration{time.Second, time.Second, 1001 * time.Millisecond} { // it is full when it opens, not fuller
		if a := take(t, b, 2*time.Second); !a.Granted || a.Wait != want {
			t.Fatalf("%+v, want a wait of %s", a, want)
		}
	}
}

func TestWhatWasSpentWithoutRedisIsTakenAtTheNextAsking(t *testing.T) {
	for name, c := range map[string]struct {
		spent, left int
		later       time.Duration
	}{
		"some":                           {4, 6, 0},
		"more than there is":             {30, 0, 0},
		"some that would be back by now": {4, 9, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.bucket("k", 10, 1, 0)
			for range c.spent {
				b.Spend()
			}
			w.advance(c.later)
			for n := range c.left {
				if !take(t, b, 0).Granted {
					t.Fatalf("%d granted, want %d", n, c.left)
				}
			}
			if a := take(t, b, time.Second); !a.Granted || a.Wait != time.Second {
				t.Fatalf("%+v, want the next token after a second", a)
			}
		})
	}
}

func TestARedisThatDoesNotAnswerIsAnErrorAndWhatWasSpentIsKept(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 3, 0.01, 0)
	b.Spend()
	w.redis.SetError("LOADING")
	if _, err := b.Take(t.Context(), 0); err == nil {
		t.Fatal("no error")
	}
	b.Return(Answer{Granted: true, slot: 1})
	b.Empty(b.now())
	wait(t, idle(b))
	w.redis.SetError("")
	wait(t, w.client.Up)
	w.advance(knowledgeLife)
	for _, want := range []bool{true, true, false} {
		if take(t, b, 0).Granted != want {
			t.Fatalf("want granted: %v", want)
		}
	}
}

func TestAChangedRefillRateKeepsWhatIsOwedInTokens(t *testing.T) {
	w := newWorld(t)
	slow, fast := w.bucket("k", 10, 0.001, 0), w.bucket("k", 10, 10, 0)
	for range 10 {
		take(t, slow, 0)
	}
	if a := take(t, fast, time.Second); !a.Granted || a.Wait != 100*time.Millisecond {
		t.Fatalf("%+v, want the token after 1/10 s", a)
	}
}

func TestAKeyIsForgottenWhenItsBucketIsFull(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 10, 4, 0)
	token := take(t, b, 0)
	take(t, b, 0)
	if ttl := w.redis.TTL(b.key); ttl != 500*time.Millisecond {
		t.Fatalf("kept for %s", ttl)
	}
	w.advance(time.Second)
	b.Return(token) // too late to change anything
	wait(t, idle(b))
	if w.redis.Exists(b.key) {
		t.Fatal("kept although the bucket is full")
	}
}

func TestTheRateIsNeverHigherThanConfigured(t *testing.T) {
	for _, rate := range []float64{0.001, 0.3, 1, 3, 7, 10, 1e3, 3e4, 3e5, 1e6} {
		b := NewBucket(nil, "", 1, rate)
		if b.interval < 1e6/rate || b.interval-1e6/rate > 0.25 || b.interval*4 != math.Trunc(b.interval*4) {
			t.Errorf("%g/s: a token every %g µs", rate, b.interval)
		}
	}
}

func TestWhoEmptiesABucketKnowsItBeforeRedisDoes(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 5, 1, 0)
	defer hold(b)()
	b.Empty(b.now().Add(time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if a, err := b.Take(ctx, 0); err != nil || a.Granted {
		t.Fatalf("%+v, %v, want a denial at once", a, err)
	}
}

func TestALateAnswerNeitherDeniesTooLongNorPromisesTooEarly(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 1, 1, 0)
	var late atomic.Int64
	b.now = func() time.Time { return time.UnixMicro(w.time.Load()).Add(time.Duration(late.Load())) }
	start := b.now()
	w.redis.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if strings.HasPrefix(command, "EVAL") {
			w.runs.Add(1)
			late.Add(int64(300 * time.Millisecond))
		}
		return false
	})
	if a := take(t, b, 0); !a.Level.Full.Equal(start.Add(1300 * time.Millisecond)) {
		t.Fatalf("full %s after", a.Level.Full.Sub(start))
	}
	take(t, b, 650*time.Millisecond)
	if w.runs.Load() != 1 {
		t.Fatal("asked although no token can come in time")
	}
	take(t, b, 750*time.Millisecond)
	if w.runs.Load() != 2 {
		t.Fatal("denied although a token may come in time")
	}
}

func TestABucketIsIdleWhenANewOneWouldBeTheSame(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 2, 1, 0)
	want := func(idle bool) {
		t.Helper()
		if b.Idle() != idle {
			t.Fatalf("idle: %v", !idle)
		}
	}
	want(true)
	take(t, b, 0)
	want(false)
	w.advance(time.Second)
	want(true)
	b.Spend()
	want(false)
	w.advance(time.Second)
	want(true)
	hold(b)
	want(false)
}
