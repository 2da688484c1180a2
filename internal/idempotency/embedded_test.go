package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/internal/groupcommit"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/idempotency/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock that stands still unless it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t testing.TB, path string, c *clock) *idempotency.Embedded {
	t.Helper()
	e, err := idempotency.OpenEmbedded(path, idempotency.EmbeddedOptions{Now: c.Now, SweepEvery: -1})
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEmbedded(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		c := newClock()
		return storetest.Subject{Store: open(t, filepath.Join(t.TempDir(), "keys.db"), c), Advance: c.Advance}
	})
}

func request(key string) idempotency.Request {
	return idempotency.Request{
		Scope: idempotency.NewScope("t", "a", "POST", "/", key), Fingerprint: idempotency.NewFingerprint("", []byte(key)),
		LetterID: "letter-" + key, Lease: time.Minute,
	}
}

func begin(t testing.TB, e *idempotency.Embedded, key string, want idempotency.Verdict) idempotency.Decision {
	t.Helper()
	d, err := e.Begin(context.Background(), request(key))
	must(t, err)
	if d.Verdict != want {
		t.Fatalf("%s: verdict %d, want %d", key, d.Verdict, want)
	}
	return d
}

func TestWhatSurvivesARestart(t *testing.T) {
	for name, crash := range map[string]bool{"close": false, "crash": true} {
		t.Run(name, func(t *testing.T) {
			path, c := filepath.Join(t.TempDir(), "keys.db"), newClock()
			e := open(t, path, c)
			begin(t, e, "in flight", idempotency.Granted)
			d := begin(t, e, "finished", idempotency.Granted)
			must(t, e.Finish(t.Context(), request("finished").Scope, d.Owner, &idempotency.Outcome{Status: 201, Body: []byte("ok")}, time.Hour))
			d = begin(t, e, "abandoned", idempotency.Granted)
			must(t, e.Abandon(t.Context(), request("abandoned").Scope, d.Owner, time.Hour))
			d = begin(t, e, "released", idempotency.Granted)
			must(t, e.Release(t.Context(), request("released").Scope, d.Owner))
			if crash {
				image, err := os.ReadFile(path)
				must(t, err)
				path += ".copy"
				must(t, os.WriteFile(path, image, 0o600))
			} else {
				must(t, e.Close())
			}

			e = open(t, path, c)
			if got := begin(t, e, "in flight", idempotency.Unknown); got.LetterID != "letter-in flight" {
				t.Errorf("letter %q", got.LetterID)
			}
			other := request("in flight")
			other.Fingerprint[0]++
			if got, err := e.Begin(t.Context(), other); err != nil || got.Verdict != idempotency.Reused {
				t.Errorf("another request: %+v, %v", got, err)
			}
			if got := begin(t, e, "finished", idempotency.Replay); string(got.Outcome.Body) != "ok" {
				t.Errorf("outcome %+v", got.Outcome)
			}
			begin(t, e, "abandoned", idempotency.Unknown)
			begin(t, e, "released", idempotency.Granted)
			c.Advance(24 * time.Hour)
			begin(t, e, "in flight", idempotency.Granted)
		})
	}
}

func TestAnOwnerOfAnEarlierProcessCanDoNothing(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "keys.db"), newClock()
	e := open(t, path, c)
	d := begin(t, e, "k", idempotency.Granted)
	must(t, e.Close())
	e = open(t, path, c)
	must(t, e.Finish(t.Context(), request("k").Scope, d.Owner, &idempotency.Outcome{Status: 200}, time.Hour))
	begin(t, e, "k", idempotency.Unknown)
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	open(t, path, newClock())
	if _, err := idempotency.OpenEmbedded(path, idempotency.EmbeddedOptions{}); !errors.Is(err, groupcommit.ErrInUse) {
		t.Fatalf("got %v", err)
	}
}

func TestSweepRemovesWhatExpiredAndItsSpaceIsUsedAgain(t *testing.T) {
	c := newClock()
	e := open(t, filepath.Join(t.TempDir(), "keys.db"), c)
	var first int64
	for round := range 8 {
		fill(t, e, fmt.Sprint(round), 500)
		if n, err := e.Sweep(t.Context()); err != nil || n != 0 {
			t.Fatalf("removed %d too early, %v", n, err)
		}
		c.Advance(time.Hour)
		if n, err := e.Sweep(t.Context()); err != nil || n != 500 {
			t.Fatalf("removed %d, %v", n, err)
		}
		if round == 0 {
			first = e.Stats().FileBytes
		}
	}
	// How keys meet in commits decides how full pages are; without reuse it would be eight times the first round.
	if got := e.Stats(); got.FileBytes > 3*first || got.Swept != 8*500 || got.InFlight != 0 {
		t.Fatalf("after one round %d bytes, after eight %+v", first, got)
	}
}

// fill finishes n keys that expire after an hour.
func fill(t *testing.T, e *idempotency.Embedded, name string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := range n / 10 {
				r := request(fmt.Sprint(name, "/", w, "/", i))
				d, err := e.Begin(t.Context(), r)
				if err == nil {
					err = e.Finish(t.Context(), r.Scope, d.Owner, &idempotency.Outcome{Status: 200, Body: make([]byte, 1000)}, time.Hour)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSweepLeavesAKeyThatWasUsedAgain(t *testing.T) {
	c := newClock()
	e := open(t, filepath.Join(t.TempDir(), "keys.db"), c)
	for range 2 { // the second use outlives the first one's entry
		d := begin(t, e, "k", idempotency.Granted)
		must(t, e.Finish(t.Context(), request("k").Scope, d.Owner, &idempotency.Outcome{Status: 200}, time.Hour))
		c.Advance(time.Hour)
	}
	c.Advance(-time.Minute)
	_, err := e.Sweep(t.Context())
	must(t, err)
	begin(t, e, "k", idempotency.Replay)
}

func TestAClaimThatNobodyEndsIsForgottenAtLast(t *testing.T) {
	c := newClock()
	e := open(t, filepath.Join(t.TempDir(), "keys.db"), c)
	begin(t, e, "k", idempotency.Granted)
	c.Advance(25 * time.Hour)
	_, err := e.Sweep(t.Context())
	must(t, err)
	if got := e.Stats().InFlight; got != 0 {
		t.Fatalf("%d in flight", got)
	}
	begin(t, e, "k", idempotency.Granted)
}

func TestTheSweeperRunsByItself(t *testing.T) {
	c := newClock()
	e, err := idempotency.OpenEmbedded(filepath.Join(t.TempDir(), "keys.db"),
		idempotency.EmbeddedOptions{Now: c.Now, SweepEvery: time.Millisecond})
	must(t, err)
	defer e.Close()
	d := begin(t, e, "k", idempotency.Granted)
	must(t, e.Finish(t.Context(), request("k").Scope, d.Owner, &idempotency.Outcome{Status: 200}, time.Hour))
	c.Advance(time.Hour)
	for deadline := time.After(10 * time.Second); e.Stats().Swept == 0; {
		select {
		case <-deadline:
			t.Fatal("not swept")
		default:
			runtime.Gosched()
		}
	}
}

func TestAStoreThatFailsSaysSoAndFreesTheKeyInMemory(t *testing.T) {
	e := open(t, filepath.Join(t.TempDir(), "keys.db"), newClock())
	d := begin(t, e, "k", idempotency.Granted)
	must(t, e.Close())
	if _, err := e.Begin(t.Context(), request("new")); err == nil {
		t.Error("Begin: no error")
	}
	for range 2 { // the claim stays, so that its owner may try again
		if err := e.Release(t.Context(), request("k").Scope, d.Owner); err == nil {
			t.Error("Release: no error")
		}
	}
	if got := e.Stats().InFlight; got != 1 {
		t.Errorf("%d in flight", got)
	}
}
