package alert

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// heard is what a target believes of one group.
type heard struct {
	firing bool
	at     time.Time // of the last firing notice
	ever   bool
}

// Whatever opens, closes and fails in whatever order, no group fires twice within an interval, nothing is resolved that
// could not have been heard of, and in the end the target believes what is so and the book is empty of what is over.
func TestATargetBelievesWhatIsSoInTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const interval = time.Minute
		b := book{interval: interval, entries: map[key]*entry{}}
		names := []string{"crm", "erp", "sms"}
		open, target := map[string]bool{}, map[string]*heard{"crm": {}, "erp": {}, "sms": {}}
		now := noon
		look := func(up func() bool) {
			var groups []Group
			for name := range open {
				groups = append(groups, lettersOf(name, 1))
			}
			b.see(groups, now)
			for _, n := range b.due(now) {
				b.sending(n, now)
				if !up() {
					return
				}
				hear(t, target[n.group.Adapter], n, now)
				b.taken(n, now)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "adapter")
			if open[name] = !open[name]; !open[name] {
				delete(open, name)
			}
			look(func() bool { return rapid.Bool().Draw(t, "taken") })
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
		}
		for range 3 {
			look(func() bool { return true })
			now = now.Add(b.rest(now))
		}
		for _, name := range names {
			if target[name].firing != open[name] {
				t.Errorf("the target believes %s is firing: %v", name, target[name].firing)
			}
		}
		if now = now.Add(interval); len(open) == 0 {
			if look(func() bool { return true }); len(b.entries) != 0 {
				t.Errorf("%d entries of what is over", len(b.entries))
			}
		}
	})
}

func hear(t *rapid.T, h *heard, n notice, now time.Time) {
	if n.status == resolved {
		h.firing = false
		return
	}
	if h.ever && now.Sub(h.at) < time.Minute {
		t.Errorf("%s fires again after %s", n.group.Adapter, now.Sub(h.at))
	}
	*h = heard{firing: true, at: now, ever: true}
}
