package shared

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// world is a Redis whose time the test moves, and the buckets that some sidecars have of one key. Their clocks differ.
type world struct {
	t      *testing.T
	redis  *miniredis.Miniredis
	client *Client
	time   atomic.Int64 // µs of Redis
	runs   atomic.Int64 // of scripts
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, redis: miniredis.RunT(t)}
	w.redis.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if strings.HasPrefix(command, "EVAL") {
			w.runs.Add(1)
		}
		return false
	})
	c, err := Open(Config{Addresses: []string{w.redis.Addr()}, Prefix: "test", Budget: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.client = c
	w.time.Store(1_800_000_000_000_000)
	w.advance(0)
	if _, err := w.bucket("warm", 1, 1, 0).Take(context.Background(), 0); err != nil { // or the first call runs EVAL after EVALSHA
		t.Fatal(err)
	}
	w.runs.Store(0)
	return w
}

func (w *world) advance(d time.Duration) {
	w.redis.SetTime(time.UnixMicro(w.time.Add(d.Microseconds())))
}

// bucket returns the bucket of a sidecar whose clock is wrong by skew.
func (w *world) bucket(key string, capacity int, rate float64, skew time.Duration) *Bucket {
	b := NewBucket(w.client, w.client.Key("limit", key), capacity, rate)
	b.now = func() time.Time { return time.UnixMicro(w.time.Load()).Add(skew) }
	return b
}

func take(t testing.TB, b *Bucket, maxWait time.Duration) Answer {
	t.Helper()
	a, err := b.Take(context.Background(), maxWait)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestADenialIsRepeatedWithoutARoundTripUntilATokenComes(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 1, 2, 0)
	take(t, b, 0)
	w.runs.Store(0)
	for range 10 {
		if a := take(t, b, 499*time.Millisecond); a.Granted || !a.Level.Full.Equal(b.now().Add(500*time.Millisecond)) {
			t.Fatalf("%+v", a)
		}
	}
	if w.runs.Load() != 0 {
		t.Fatalf("%d scripts for what was known", w.runs.Load())
	}
	if a := take(t, b, 500*time.Millisecond); !a.Granted || a.Wait != 500*time.Millisecond {
		t.Fatalf("%+v to one who can wait", a)
	}
	w.advance(time.Second)
	if !take(t, b, 0).Granted {
		t.Fatal("denied when the token is there")
	}
}

func TestADenialIsAskedForAgainAfterASecond(t *testing.T) {
	w := newWorld(t)
	a, b := w.bucket("k", 1, 0.01, 0), w.bucket("k", 1, 0.01, 0)
	token := take(t, a, 0)
	take(t, b, 0)
	a.Return(token)
	wait(t, idle(a))
	if take(t, b, 0).Granted {
		t.Fatal("b cannot know")
	}
	w.advance(knowledgeLife)
	if !take(t, b, 0).Granted {
		t.Fatal("denied longer than a second although the token was given back")
	}
}

func TestWhoWaitsIsServedInTheOrderOfAskingWhicheverSidecarAsked(t *testing.T) {
	w := newWorld(t)
	pods := []*Bucket{w.bucket("k", 1, 4, 0), w.bucket("k", 1, 4, time.Hour)}
	for n := range 6 {
		if a := take(t, pods[n%2], time.Minute); !a.Granted || a.Wait != time.Duration(n)*250*time.Millisecond {
			t.Fatalf("%d: %+v", n, a)
		}
	}
	if w.runs.Load() != 6 {
		t.Fatalf("%d scripts for 6 calls", w.runs.Load())
	}
}

func TestOnlyTheLastReservationsAreGivenBack(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 1, 1, 0)
	var tokens []Answer
	for range 4 {
		tokens = append(tokens, take(t, b, time.Minute))
	}
	release := hold(b)
	b.Return(tokens[0]) // those after it have their times
	b.Return(tokens[2])
	b.Return(tokens[3])
	release()
	wait(t, idle(b))
	if a := take(t, b, time.Minute); a.Wait != 2*time.Second {
		t.Fatalf("%+v, want the third token", a)
	}
}

// Calls in step: every sidecar's come every 8 ms, always in the same order, ten for each token.
func TestSidecarsTakeTurnsWhenCallsArriveInStep(t *testing.T) {
	w := newWorld(t)
	pods := make([]*Bucket, 4)
	for i := range pods {
		pods[i] = w.bucket("k", 5, 50, 0)
	}
	granted := make([]int, len(pods))
	const calls = 1000
	for range calls {
		for i, b := range pods {
			if take(t, b, 0).Granted {
				granted[i]++
			}
			w.advance(2 * time.Millisecond)
		}
	}
	all := 0
	for _, n := range granted {
		all += n
	}
	if want := 5 + calls*8/20; all < want-1 || all > want+1 {
		t.Errorf("%d granted, want %d", all, want)
	}
	for i, n := range granted {
		if n < all/4-2 || n > all/4+4 {
			t.Errorf("sidecar %d was granted %d of %d", i, n, all)
		}
	}
}

func TestASidecarWithFewCallsGetsItsTurn(t *testing.T) {
	w := newWorld(t)
	hungry, modest := w.bucket("k", 5, 50, 0), w.bucket("k", 5, 50, 0)
	asked, granted := 0, 0
	for ms := range 4000 {
		if ms%2 == 0 {
			take(t, hungry, 0)
		}
		if ms%50 < 3 { // three tries every 50 ms: 20 tokens a second would do
			asked++
			if take(t, modest, 0).Granted {
				granted++
			}
		}
		w.advance(time.Millisecond)
	}
	if granted < 20 {
		t.Errorf("%d of %d were granted", granted, asked)
	}
}

func TestASingleRefusalKeepsNoTokenForAnybody(t *testing.T) {
	w := newWorld(t)
	a, b := w.bucket("k", 1, 1, 0), w.bucket("k", 1, 1, 0)
	take(t, a, 0)
	take(t, b, 0)
	w.advance(time.Second)
	if !take(t, a, 0).Granted {
		t.Error("kept for one who may not come back")
	}
	take(t, b, 0)
	take(t, b, 0)
	w.advance(time.Second)
	if !take(t, a, 0).Granted {
		t.Error("kept for one who was refused a second ago")
	}
}
