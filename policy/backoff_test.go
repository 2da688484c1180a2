package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestBackoffGrowsToItsMaximum(t *testing.T) {
	for _, c := range []struct {
		initial, maximum time.Duration
		multiplier       float64
		want             []time.Duration
	}{
		{time.Second, 30 * time.Second, 2, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}},
		{500 * time.Millisecond, 10 * time.Second, 2, []time.Duration{5e8, 1e9, 2e9, 4e9, 8e9, 10e9}},
		{2 * time.Second, 2 * time.Second, 1, []time.Duration{2e9, 2e9, 2e9}},
		{time.Millisecond, time.Hour, 10, []time.Duration{1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 3600e9, 3600e9}},
	} {
		r := Retry{InitialDelay: units.Duration(c.initial), MaxDelay: units.Duration(c.maximum), Multiplier: c.multiplier}
		for i, want := range c.want {
			if got := r.backoff(i + 1); got != want {
				t.Errorf("%v ×%v: delay %d is %v, want %v", c.initial, c.multiplier, i+1, got, want)
			}
		}
	}
}

// The specification's jitter only adds: delay + delay × factor × rand.
func TestJitterOnlyLengthens(t *testing.T) {
	s := testSettings()
	s.Retry.JitterFactor = 0.25
	plan, x := newRetryPlan(s), testExchange(t, "GET", "/", "")
	least, most := time.Hour, time.Duration(0)
	for range 2000 {
		d, fits := plan.delay(x, nil, 2)
		least, most = min(least, d), max(most, d)
		if !fits {
			t.Fatal("two seconds do not fit two minutes")
		}
	}
	if least < 2*time.Second || most > 2500*time.Millisecond {
		t.Errorf("delays from %v to %v, want 2s to 2.5s", least, most)
	}
	if most-least < 300*time.Millisecond {
		t.Errorf("delays from %v to %v: there is hardly any jitter", least, most)
	}
}

func TestRetryAfterIsObeyedExactly(t *testing.T) {
	for name, c := range map[string]struct {
		value func() string
		want  time.Duration
	}{
		"seconds":                   {func() string { return "17" }, 17 * time.Second},
		"date":                      {func() string { return time.Now().Add(42 * time.Second).UTC().Format(httpDate) }, 42 * time.Second},
		"shorter than the backoff":  {func() string { return "0" }, time.Second},
		"past date":                 {func() string { return time.Now().Add(-time.Hour).UTC().Format(httpDate) }, time.Second},
		"unreadable":                {func() string { return "soon" }, time.Second},
		"longer than the max delay": {func() string { return "90" }, 90 * time.Second},
	} {
		for _, status := range []int{429, 503, 408} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testSettings()
					if c.want > time.Second {
						s.Retry.JitterFactor = 1 // must not matter
					}
					chain := play(t, answered(status, "Retry-After", c.value()), answered(200))
					_, _ = attempts(s, testHost(t, "", s))(chain.next)(testExchange(t, "GET", "/", ""))
					if got := chain.waits(); len(got) != 1 || got[0] != c.want {
						t.Errorf("waited %v, want %v", got, c.want)
					}
				})
			})
		}
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"120": 2 * time.Minute, " 5 ": 5 * time.Second, "0": 0, "": 0, "-5": 0, "1.5": 0, "5s": 0,
		"Mon, 23 Nov 2026 12:01:00 GMT":      time.Minute,
		"Monday, 23-Nov-26 12:01:00 GMT":     time.Minute,
		"Mon Nov 23 12:01:00 2026":           time.Minute,
		"Mon, 23 Nov 2026 11:59:00 GMT":      0,
		"999999999999":                       maxRetryAfter,
		"99999999999999999999999999999":      maxRetryAfter,
		"Fri, 23 Nov 2096 12:01:00 GMT":      maxRetryAfter,
		"Mon, 23 Nov 2026 12:01:00 GMT, 120": 0,
	} {
		if got := retryAfter(wire.Fields{{Name: "retry-after", Value: value}}, now); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"120", "-1", "Mon, 23 Nov 2026 12:01:00 GMT", "9999999999999999999999", "0x10", "Mon Nov 23 12:01:00 0001"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		d := retryAfter(wire.Fields{{Name: "Retry-After", Value: value}}, now)
		if d < 0 || d > maxRetryAfter {
			t.Errorf("%q is %v", value, d)
		}
	})
}
