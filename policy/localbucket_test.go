package policy

import (
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

func TestAClosedBucketRefillsMeanwhile(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	b := newLocalBucket(&RateLimit{Capacity: 5, RefillRate: 2})
	b.empty(start, start.Add(time.Second))
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 0}, {999 * time.Millisecond, 0}, {time.Second, 2}, {1499 * time.Millisecond, 0}, {1500 * time.Millisecond, 1}, {time.Minute, 5}} {
		got := 0
		for {
			if _, _, ok := b.take(start.Add(c.after), 0); !ok {
				break
			}
			got++
		}
		if got != c.want {
			t.Errorf("after %s: %d tokens, want %d", c.after, got, c.want)
		}
	}
}

func TestWhoWaitsForAClosedLocalBucketWaitsInTurn(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	b := newLocalBucket(&RateLimit{Capacity: 2, RefillRate: 1000})
	b.empty(start, start.Add(time.Second))
	for _, want := range []time.Duration{time.Second, time.Second, 1001 * time.Millisecond} {
		if wait, _, ok := b.take(start, 2*time.Second); !ok || (wait-want).Abs() > time.Microsecond {
			t.Errorf("waits %s, want %s", wait, want)
		}
	}
	if _, _, ok := b.take(start, 1001*time.Millisecond); ok {
		t.Error("granted a token that comes too late")
	}
	if wait, _, _ := b.take(start, 2*time.Second); (wait - 1002*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("the one that was refused cost a token: %s", wait)
	}
}

func TestALocalBucketGoesOnFromTheLevelOfAnother(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		lacks time.Duration
		want  int
	}{"full": {0, 10}, "some": {3 * time.Second, 7}, "empty": {10 * time.Second, 0}, "reserved": {12 * time.Second, 0}} {
		b := newLocalBucket(&RateLimit{Capacity: 10, RefillRate: 1})
		for range 2 { // a second time takes no more
			b.drainTo(now, shared.Level{Full: now.Add(c.lacks)})
		}
		got := 0
		for {
			if _, _, ok := b.take(now, 0); !ok {
				break
			}
			got++
		}
		if got != c.want {
			t.Errorf("%s: %d tokens, want %d", name, got, c.want)
		}
		if lacks := b.level(now).Full.Sub(now); lacks != max(c.lacks, 10*time.Second) {
			t.Errorf("%s: full after %s", name, lacks)
		}
	}
}

func TestATokenThatNobodyWaitsForAnyMoreIsGivenBack(t *testing.T) {
	b := newLocalBucket(&RateLimit{Capacity: 1, RefillRate: 0.001})
	now := time.Now()
	b.take(now, 0)
	_, r, ok := b.take(now, time.Hour)
	if !ok || r == nil {
		t.Fatal("not granted")
	}
	b.giveBack(r)
	if wait, _, _ := b.take(now, time.Hour); wait > 1000*time.Second {
		t.Errorf("the next waits %s", wait)
	}
}
