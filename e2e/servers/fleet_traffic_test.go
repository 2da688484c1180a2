//go:build e2e

package servers

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// sample is one call of the traffic.
type sample struct {
	call
	pod int
	at  time.Time
	e2e.Answer
	err error
}

// call is what the application wants.
type call struct{ method, target, body, key string }

// traffic is calls at a steady rate through every pod, whether or not earlier ones were answered.
type traffic struct {
	end     chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex
	samples []sample
}

// traffic makes perSecond calls through each pod until it is stopped; next says what the nth call of a pod is.
func (f *fleet) traffic(perSecond int, next func(pod, n int) call) *traffic {
	l := &traffic{end: make(chan struct{})}
	start := time.Now()
	every := time.Second / time.Duration(perSecond)
	for pod, s := range f.pods {
		first := start.Add(every * time.Duration(pod) / time.Duration(len(f.pods)))
		l.running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.end:
					return
				case <-time.After(time.Until(first.Add(every * time.Duration(n)))):
				}
				l.running.Go(func() { l.add(f, s, pod, next(pod, n)) })
			}
		})
	}
	f.t.Cleanup(func() { l.stop() })
	return l
}

func (l *traffic) add(f *fleet, s *e2e.Sidecar, pod int, c call) {
	fields := []string{fromPod(pod)}
	if c.key != "" {
		fields = append(fields, keyField(c.key))
	}
	if c.body != "" {
		fields = append(fields, jsonBody)
	}
	m := sample{call: c, pod: pod, at: time.Now()}
	m.Answer, m.err = s.Try(f.t.Context(), c.method, c.target, c.body, fields...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, m)
}

// stop lets the calls under way finish and returns all of them.
func (l *traffic) stop() []sample {
	select {
	case <-l.end:
	default:
		close(l.end)
	}
	l.running.Wait()
	return l.samples
}

// during are the calls that began in [from, until).
func during(samples []sample, from, until time.Time) []sample {
	return slices.DeleteFunc(slices.Clone(samples), func(m sample) bool { return m.at.Before(from) || !m.at.Before(until) })
}

// slowest returns the longest time of an answer and the one that 99 % did not exceed.
func slowest(samples []sample) (longest, p99 time.Duration) {
	var took []time.Duration
	for _, m := range samples {
		took = append(took, m.Took)
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)-1].Round(100 * time.Microsecond), took[len(took)*99/100].Round(100 * time.Microsecond)
}

// outcomes counts answers by status and kind.
func outcomes(samples []sample) map[string]int {
	counts := map[string]int{}
	for _, m := range samples {
		counts[outcome(m)]++
	}
	return counts
}

func outcome(m sample) string {
	if m.err != nil {
		return "no answer: " + m.err.Error()
	}
	if kind := m.Kind(); kind != "" {
		return fmt.Sprint(m.Status, " ", kind)
	}
	return fmt.Sprint(m.Status)
}

// wantOutcomes fails the test when a call ended otherwise than in one of the ways allowed.
func wantOutcomes(t *testing.T, what string, samples []sample, allowed ...string) {
	t.Helper()
	shown := 0
	for _, m := range samples {
		if o := outcome(m); !slices.Contains(allowed, o) && shown < 5 {
			shown++
			t.Errorf("%s: %s %s through pod %d ended in %s after %s: %.300s", what, m.method, m.target, m.pod, o, m.Took, m.Body)
		}
	}
}

// arrivalTimes are the times at which the provider got calls, in order.
func arrivalTimes(hits []e2e.Hit, from, until time.Time) []time.Time {
	var at []time.Time
	for _, h := range hits {
		if !h.At.Before(from) && h.At.Before(until) {
			at = append(at, h.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// fullest looks at every window that begins and ends with an arrival and returns the largest excess over capacity +
// rate × window, in calls, and that window.
func fullest(at []time.Time, capacity, rate float64) (excess float64, window time.Duration) {
	excess = -capacity
	for i := range at {
		for j := i; j < len(at); j++ {
			w := at[j].Sub(at[i])
			if e := float64(j-i+1) - capacity - rate*w.Seconds(); e > excess {
				excess, window = e, w
			}
		}
	}
	return excess, window.Round(time.Millisecond)
}

// wantWithin fails the test when some window held more than capacity + rate × window, one for rounding and what may
// bunch up in 10 ms on the way.
func wantWithin(t *testing.T, what string, at []time.Time, capacity, rate float64) {
	t.Helper()
	excess, window := fullest(at, capacity, rate)
	t.Logf("%s: %d arrivals; the fullest window, of %s, held %+.1f calls against capacity %v + %v/s", what, len(at), window, excess, capacity, rate)
	if allowed := 1 + rate*0.01; excess > allowed {
		t.Errorf("%s: a window of %s held %.1f calls more than %v + %v/s, want at most %.1f", what, window, excess, capacity, rate, allowed)
	}
}
