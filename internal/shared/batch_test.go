package shared

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// hold pretends that a script is under way until the returned function is called.
func hold(b *Bucket) (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = true
	return func() {
		b.mu.Lock()
		b.running = false
		b.start()
		b.mu.Unlock()
	}
}

func idle(b *Bucket) func() bool {
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return !b.running
	}
}

func gathered(b *Bucket, n int) func() bool {
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.asks) == n
	}
}

func TestCallsThatComeTogetherAreAskedForInOneScript(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 60, 1, 0)
	release := hold(b)
	var granted, denied atomic.Int64
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			if take(t, b, 0).Granted {
				granted.Add(1)
			} else {
				denied.Add(1)
			}
		})
	}
	wait(t, gathered(b, 100))
	release()
	calls.Wait()
	if granted.Load() != 60 || denied.Load() != 40 || w.runs.Load() != 1 {
		t.Fatalf("%d granted, %d denied, %d scripts", granted.Load(), denied.Load(), w.runs.Load())
	}
}

func TestMoreThanOneScriptTakesAreAskedForInSeveral(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 10*maxBatch, 1, 0)
	release := hold(b)
	var calls sync.WaitGroup
	for range 2*maxBatch + 1 {
		calls.Go(func() {
			if !take(t, b, 0).Granted {
				t.Error("denied")
			}
		})
	}
	wait(t, gathered(b, 2*maxBatch+1))
	release()
	calls.Wait()
	if w.runs.Load() != 3 {
		t.Fatalf("%d scripts", w.runs.Load())
	}
}

func TestAStormOfSeveralSidecarsIsGrantedExactlyWhatThereIs(t *testing.T) {
	w := newWorld(t)
	var granted atomic.Int64
	var calls sync.WaitGroup
	for _, skew := range []time.Duration{0, -time.Minute, time.Hour} {
		b := w.bucket("k", 50, 0.001, skew)
		for range 100 {
			calls.Go(func() {
				if take(t, b, 0).Granted {
					granted.Add(1)
				}
			})
		}
	}
	calls.Wait()
	if granted.Load() != 50 {
		t.Fatalf("%d granted of 50", granted.Load())
	}
}

func TestWhoLeavesWhileAScriptIsUnderWayIsNotAskedFor(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 1, 0.01, 0)
	release := hold(b)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := b.Take(ctx, 0)
		left <- err
	}()
	wait(t, gathered(b, 1))
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	release()
	wait(t, idle(b))
	if w.runs.Load() != 0 || !take(t, b, 0).Granted {
		t.Fatal("a token was taken for somebody who had left")
	}
}

func TestATokenForSomebodyWhoLeftIsGivenBack(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 1, 0.01, 0)
	stop := hold(b)
	asked, answered := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := b.Take(ctx, 0)
		left <- err
	}()
	wait(t, gathered(b, 1))
	var once sync.Once
	w.redis.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if strings.HasPrefix(command, "EVAL") {
			once.Do(func() { close(asked); <-answered })
		}
		return false
	})
	stop()
	<-asked
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(answered)
	wait(t, idle(b))
	if !take(t, b, 0).Granted {
		t.Fatal("the token is lost")
	}
}

func TestACancelledCallerDoesNotBreakOffItsScript(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("k", 1, 0.01, 0)
	ctx, cancel := context.WithCancel(t.Context())
	w.redis.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if strings.HasPrefix(command, "EVAL") {
			cancel()
		}
		return false
	})
	a, err := b.Take(ctx, 0)
	if err != nil || !a.Granted {
		t.Fatalf("%+v, %v", a, err)
	}
	b.Return(a)
	wait(t, idle(b))
	if !take(t, b, 0).Granted {
		t.Fatal("the token is lost")
	}
}

func TestAScriptKeepsItsCallersDeadlineAndNothingElseEndsIt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	uncut, done := detach(ctx)
	defer done()
	want, _ := ctx.Deadline()
	cancel()
	if got, bounded := uncut.Deadline(); !bounded || !got.Equal(want) || uncut.Err() != nil {
		t.Fatalf("ends at %s, want %s; %v", got, want, uncut.Err())
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if unbounded, done := detach(gone); unbounded.Err() != nil {
		t.Fatal("cut off")
	} else {
		done()
	}
}
