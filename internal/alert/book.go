package alert

import (
	"cmp"
	"slices"
	"time"
)

// book is what one target has been told, and what it is to be told: one entry per group.
type book struct {
	interval time.Duration // between two firing notices of a group
	entries  map[key]*entry
}

type entry struct {
	group Group // as it was last seen open
	open  bool
	since time.Time // when it was first seen open
	until time.Time // when it was first seen no longer open
	told  bool      // a firing notice may have reached the target, and no resolved one has since
	fired time.Time // when a firing notice that the target took was made; zero: never
	tried time.Time // when a notice was last sent, taken or not
}

// status is what a notice says of its group, in the words of the Alertmanager.
type status string

const (
	firing   status = "firing"
	resolved status = "resolved"
)

// notice is one thing to tell.
type notice struct {
	group Group
	status
	since time.Time
	until time.Time // of a resolved one
}

// see enters what is open now. What is not among groups is open no more.
func (b *book) see(groups []Group, now time.Time) {
	seen := make(map[key]bool, len(groups))
	for _, g := range groups {
		g = g.normal()
		seen[g.key()] = true
		b.open(g, now)
	}
	for k, e := range b.entries {
		if !seen[k] && e.open {
			e.open, e.until = false, now
		}
		if _, due := e.dueAt(b.interval); !due && !now.Before(e.fired.Add(b.interval)) {
			delete(b.entries, k)
		}
	}
}

func (b *book) open(g Group, now time.Time) {
	e := b.entries[g.key()]
	if e == nil {
		e = &entry{}
		b.entries[g.key()] = e
	}
	if !e.open {
		e.open, e.since = true, now
	}
	e.group = g
}

// dueAt is when the target is to be told of the group; the zero time is at once. A group that opens again soon after it
// was resolved waits for its interval as if it had stayed open: what flaps costs no more than what lasts.
func (e *entry) dueAt(interval time.Duration) (at time.Time, due bool) {
	switch {
	case e.open && e.fired.IsZero():
		return time.Time{}, true
	case e.open:
		return e.fired.Add(interval), true
	default:
		return time.Time{}, e.told
	}
}

// due lists what is to be told now: first what has waited longest since it was last tried, so that a notice the target
// keeps refusing does not stand in the way of the others.
func (b *book) due(now time.Time) []notice {
	var list []notice
	for _, e := range b.entries {
		if at, due := e.dueAt(b.interval); due && !at.After(now) {
			list = append(list, e.notice())
		}
	}
	slices.SortFunc(list, func(x, y notice) int {
		return cmp.Or(b.entries[x.group.key()].tried.Compare(b.entries[y.group.key()].tried), compare(x.group.key(), y.group.key()))
	})
	return list
}

func compare(x, y key) int {
	return cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.adapterID, y.adapterID), cmp.Compare(x.errorType, y.errorType))
}

func (e *entry) notice() notice {
	if e.open {
		return notice{group: e.group, status: firing, since: e.since}
	}
	return notice{group: e.group, status: resolved, since: e.since, until: e.until}
}

// sending remembers that the target may hear of n from now on, whatever comes of it.
func (b *book) sending(n notice, now time.Time) {
	e := b.entries[n.group.key()]
	e.tried, e.told = now, true
}

// taken remembers that the target took n, which was made at the given time.
func (b *book) taken(n notice, made time.Time) {
	e := b.entries[n.group.key()]
	if n.status == firing {
		e.fired = made
	} else {
		e.told = false
	}
}

// rest is how long there is nothing to tell unless something changes; the interval at most.
func (b *book) rest(now time.Time) time.Duration {
	rest := b.interval
	for _, e := range b.entries {
		if at, due := e.dueAt(b.interval); due {
			rest = min(rest, at.Sub(now))
		}
	}
	return max(rest, 0)
}
