package accepted

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestOneOrderKeyIsOneAfterTheOther(t *testing.T) {
	s := openStore(t, Config{})
	for i := range 3 {
		accept(t, s, exchange("a", fmt.Sprint("a", i)))
	}
	accept(t, s, exchange("b", "b0"))
	a, x := next(t, s)
	if string(x.Body) != "a0" {
		t.Errorf("%s is first", x.Body)
	}
	b, x := next(t, s)
	if string(x.Body) != "b0" {
		t.Errorf("%s overtakes", x.Body)
	}
	idle(t, s)
	must(t, s.PutBack(t.Context(), a, Put{Due: time.Now().Add(time.Hour)}))
	finish(t, s, b, "")
	if wait := idle(t, s); wait < 59*time.Minute {
		t.Errorf("something is due in %s, want what was put back for an hour", wait)
	}
}

func TestAnAdapterHasABoundedNumberUnderWay(t *testing.T) {
	s := openStore(t, Config{})
	for i := range 10 {
		accept(t, s, exchange(fmt.Sprint(i), ""))
	}
	other := exchange("", "")
	other.Adapter = "crm"
	accept(t, s, other)
	adapters := map[string]int{}
	for c, _ := s.Next(3); c != nil; c, _ = s.Next(3) {
		adapters[c.Adapter]++
	}
	if adapters["erp"] != 3 || adapters["crm"] != 1 {
		t.Errorf("under way: %v", adapters)
	}
	if stats := s.Stats().ByAdapter["erp"]; stats.Waiting != 7 || stats.Running != 3 || stats.Oldest.IsZero() {
		t.Errorf("%+v", stats)
	}
}

func TestAPauseHoldsBackAnAdapterUntilItEndsOrIsEnded(t *testing.T) {
	clock := newClock()
	s := openStore(t, Config{Now: clock.Now})
	for i := range 3 {
		accept(t, s, exchange(fmt.Sprint(i), ""))
	}
	grow := func(n int) time.Duration { return time.Duration(n+1) * time.Second }
	a, _ := next(t, s)
	b, _ := next(t, s)
	first := s.Pause(a, grow)
	if again := s.Pause(b, grow); !again.Equal(first) || !first.Equal(clock.now.Add(time.Second)) {
		t.Errorf("paused until %s, then %s", first, again)
	}
	for _, c := range []*Claim{a, b} {
		must(t, s.PutBack(t.Context(), c, Put{Due: first, Paused: true}))
	}
	if wait := idle(t, s); wait != time.Second {
		t.Errorf("due in %s", wait)
	}
	clock.advance(time.Second)
	c, x := next(t, s)
	if x.ID != a.ID || c.Tries != 1 {
		t.Errorf("%s after %d tries, want the oldest", x.ID, c.Tries)
	}
	if second := s.Pause(c, grow); !second.Equal(clock.now.Add(2 * time.Second)) {
		t.Errorf("paused until %s", second)
	}
	must(t, s.PutBack(t.Context(), c, Put{Paused: true}))
	idle(t, s)
	s.Resume("erp")
	if _, x := next(t, s); x.ID != a.ID {
		t.Errorf("%s after the pause", x.ID)
	}
}

// A model of the queue: whatever is accepted, put back and finished in whatever order, an exchange never overtakes one of
// the same order key, none is lost, and the numbers are right.
func TestTheQueueKeepsItsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newClock()
		q, sequence := newQueue(), uint64(0)
		waiting := map[string][]uint64{} // by order key
		running := map[uint64]*entry{}
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		orders := map[uint64]string{}
		finishOne := func(again bool) {
			if len(running) == 0 {
				t.Skip()
			}
			var open []uint64
			for n := range running {
				open = append(open, n)
			}
			slices.Sort(open)
			n := rapid.SampledFrom(open).Draw(t, "which")
			e, order := running[n], orders[n]
			delete(running, n)
			if again {
				if rapid.Bool().Draw(t, "stalled") {
					wait := time.Duration(rapid.IntRange(0, 5).Draw(t, "stall")) * time.Second
					e.lane.hold(e.tenant, clock.now.Add(wait), time.Duration(rapid.IntRange(1, 3).Draw(t, "every"))*time.Second)
					q.putBack(e, time.Time{})
					return
				}
				q.putBack(e, clock.now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "wait"))*time.Second))
				return
			}
			q.remove(e)
			waiting[order] = waiting[order][1:]
		}
		t.Repeat(map[string]func(*rapid.T){
			"accept": func(t *rapid.T) {
				sequence++
				order := keys.Draw(t, "order")
				orders[sequence] = order
				waiting[order] = append(waiting[order], sequence)
				q.push(newEntry(fmt.Sprint(sequence), &record{Sequence: sequence, Adapter: "erp", Order: []byte(order), Tenant: []byte{order[0] % 2}, Accepted: clock.now}))
			},
			"next": func(t *rapid.T) {
				e, _ := q.next(clock.now, 3)
				if e == nil {
					return
				}
				order := orders[e.sequence]
				if waiting[order][0] != e.sequence || running[e.sequence] != nil || e.due.After(clock.now) || len(running) >= 3 {
					t.Fatalf("%d of %s is next, waiting %v, running %d", e.sequence, order, waiting[order], len(running))
				}
				running[e.sequence] = e
			},
			"finish":  func(t *rapid.T) { finishOne(false) },
			"putBack": func(t *rapid.T) { finishOne(true) },
			"time":    func(t *rapid.T) { clock.advance(time.Second) },
			"unstall": func(*rapid.T) {
				for _, l := range q.lanes {
					l.unstall()
				}
			},
			"": func(t *rapid.T) {
				total := 0
				for _, list := range waiting {
					total += len(list)
				}
				stats := q.stats()["erp"]
				if stats.Waiting+stats.Running != total || stats.Running != len(running) {
					t.Fatalf("%+v, want %d, %d running", stats, total, len(running))
				}
			},
		})
		clock.advance(time.Hour)
		for range 10_000 {
			for n, e := range running {
				q.remove(e)
				waiting[orders[n]] = waiting[orders[n]][1:]
				delete(running, n)
			}
			e, at := q.next(clock.now, 3)
			if e == nil && at.IsZero() {
				break
			}
			if clock.now = later(at, clock.now); e != nil {
				running[e.sequence] = e
			}
		}
		if len(q.lanes)+len(q.entries) != 0 {
			t.Fatalf("%d left", len(q.entries))
		}
	})
}

func TestAcceptedTogetherComesInTheOrderOfTheDisk(t *testing.T) {
	q := newQueue()
	for _, n := range []uint64{3, 1, 2} {
		q.push(newEntry(fmt.Sprint(n), &record{Sequence: n, Adapter: "erp"}))
	}
	for want := uint64(1); want <= 3; want++ {
		e, _ := q.next(time.Now(), 8)
		if e == nil || e.sequence != want {
			t.Fatalf("got %+v, want %d", e, want)
		}
		q.remove(e)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
