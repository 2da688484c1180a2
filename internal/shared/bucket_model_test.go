package shared

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// reference is a token bucket as textbooks draw it: a level that refills with time, below 0 when tokens are reserved. It
// is counted in µs of refilling, so that all numbers are whole.
type reference struct {
	capacity, interval, level, at int64
}

// spare is since when a token can be had within maxWait; negative when it cannot.
func (r *reference) spare(now int64, maxWait time.Duration) time.Duration {
	r.level = min(r.capacity*r.interval, r.level+now-r.at)
	r.at = now
	return maxWait + time.Duration(r.level-r.interval)*time.Microsecond
}

func (r *reference) take(now int64, maxWait time.Duration) (granted bool, wait time.Duration) {
	if r.spare(now, maxWait) < 0 {
		return false, 0
	}
	wait = time.Duration(max(r.interval-r.level, 0)) * time.Microsecond
	r.level -= r.interval
	return true, wait
}

// wantWithinEveryWindow fails the test when more tokens were used in some window than a bucket gives. Times are in µs.
func wantWithinEveryWindow(t *rapid.T, used []int64, capacity, interval int64) {
	slices.Sort(used)
	for i := range used {
		for j := i; j < len(used); j++ {
			if n := int64(j - i + 1); n > capacity && (n-capacity)*interval > used[j]-used[i] {
				t.Fatalf("%d tokens within %d µs, of a bucket of %d and one every %d µs", n, used[j]-used[i], capacity, interval)
			}
		}
	}
}

var modelRates = []float64{0.5, 1, 4, 10, 1000} // whole µs between two tokens

// Any sequence of takings by sidecars with different clocks is answered as by one textbook bucket, but that a token may be
// kept for a moment for another sidecar, whose turn it is.
func TestSidecarsTogetherAreOneTokenBucket(t *testing.T) {
	w, n := newWorld(t), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		capacity, rate := rapid.IntRange(1, 5).Draw(t, "capacity"), rapid.SampledFrom(modelRates).Draw(t, "rate")
		interval := int64(1e6 / rate)
		ref := &reference{int64(capacity), interval, int64(capacity) * interval, w.time.Load()}
		pods := make([]*Bucket, rapid.IntRange(1, 3).Draw(t, "pods"))
		for i := range pods {
			pods[i] = w.bucket(fmt.Sprint("model-", n), capacity, rate, time.Duration(i)*time.Hour)
		}
		var used []int64
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "move") {
				w.advance(time.Duration(rapid.Int64Range(0, 3*interval).Draw(t, "µs")) * time.Microsecond)
			}
			maxWait := time.Duration(rapid.Int64Range(0, 4*interval).Draw(t, "wait")/2*2) * time.Microsecond
			got := take(w.t, rapid.SampledFrom(pods).Draw(t, "pod"), maxWait)
			if spare := ref.spare(w.time.Load(), maxWait); len(pods) > 1 && !got.Granted && spare >= 0 && spare < time.Duration(interval/2)*time.Microsecond {
				continue
			}
			granted, wait := ref.take(w.time.Load(), maxWait)
			if got.Granted != granted || got.Wait != wait {
				t.Fatalf("granted %v after %s, the reference %v after %s", got.Granted, got.Wait, granted, wait)
			}
			if granted {
				used = append(used, w.time.Load()+wait.Microseconds())
			}
		}
		wantWithinEveryWindow(t, used, int64(capacity), interval)
	})
}

type token struct {
	Answer
	at int64 // time of its use, in µs
}

// Neither giving back, emptying, nor what is told after an outage lets more through than a bucket does.
func TestNothingLetsMoreThroughThanABucketDoes(t *testing.T) {
	w, n := newWorld(t), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		capacity, rate := rapid.IntRange(1, 5).Draw(t, "capacity"), rapid.SampledFrom(modelRates).Draw(t, "rate")
		interval := int64(1e6 / rate)
		pods := []*Bucket{w.bucket(fmt.Sprint("any-", n), capacity, rate, 0), w.bucket(fmt.Sprint("any-", n), capacity, rate, time.Hour)}
		var held []token
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			b := rapid.SampledFrom(pods).Draw(t, "pod")
			now := w.time.Load()
			switch rapid.SampledFrom([]string{"take", "take", "take", "return", "move", "empty", "spend"}).Draw(t, "step") {
			case "take":
				if a := take(w.t, b, time.Duration(rapid.Int64Range(0, 4*interval).Draw(t, "wait"))*time.Microsecond); a.Granted {
					held = append(held, token{a, now + a.Wait.Microseconds()})
				}
			case "return":
				if len(held) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				if token := held[i]; token.at >= now { // not used yet
					b.Return(token.Answer)
					wait(w.t, idle(b))
					held = slices.Delete(held, i, i+1)
				}
			case "move":
				w.advance(time.Duration(rapid.Int64Range(0, 3*interval).Draw(t, "µs")) * time.Microsecond)
			case "empty":
				b.Empty(b.now().Add(time.Duration(rapid.Int64Range(1, 3*interval).Draw(t, "for")) * time.Microsecond))
				wait(w.t, idle(b))
			case "spend":
				b.Spend()
			}
		}
		var used []int64
		for _, token := range held {
			used = append(used, token.at)
		}
		wantWithinEveryWindow(t, used, int64(capacity), interval)
	})
}
