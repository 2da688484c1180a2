package accepted

import (
	"fmt"
	"testing"
	"time"
)

// of is an exchange of another tenant than exchange makes.
func of(tenant, order, body string) *Exchange {
	x := exchange(order, body)
	x.Tenant = tenant
	return x
}

func TestATenantThatIsStalledHoldsUpNobodyElse(t *testing.T) {
	clock := newClock()
	s := openStore(t, Config{Now: clock.Now})
	for i := range 50 {
		accept(t, s, of("a", fmt.Sprint(i%25), fmt.Sprint("a", i)))
	}
	for i := range 2 {
		accept(t, s, of("b", "", fmt.Sprint("b", i)))
	}
	claim, x := next(t, s)
	if string(x.Body) != "a0" {
		t.Fatalf("%s is first", x.Body)
	}
	must(t, s.PutBack(t.Context(), claim, Put{Due: clock.now.Add(3 * time.Second), Every: 2 * time.Second}))
	for i := range 2 {
		claim, x := next(t, s)
		if string(x.Body) != fmt.Sprint("b", i) {
			t.Errorf("%s is next, want what the other tenant has", x.Body)
		}
		finish(t, s, claim, "")
	}
	if wait := idle(t, s); wait != 3*time.Second {
		t.Errorf("the next is due in %s", wait)
	}
	accept(t, s, of("a", "new", "a50")) // is behind the others
	clock.advance(3 * time.Second)
	for i := range 51 {
		claim, x := next(t, s)
		if want := fmt.Sprint("a", i); string(x.Body) != want {
			t.Fatalf("%s is next, want %s", x.Body, want)
		}
		if i < 50 {
			if wait := idle(t, s); wait != 2*time.Second {
				t.Fatalf("the next is due in %s", wait)
			}
		}
		finish(t, s, claim, "")
		clock.advance(2 * time.Second)
	}
	accept(t, s, of("a", "", "free")) // the stall is over
	next(t, s)
}

func TestAStallThatIsBehindDoesNotLetOutAllAtOnce(t *testing.T) {
	clock := newClock()
	s := openStore(t, Config{Now: clock.Now})
	for i := range 40 {
		accept(t, s, of("a", fmt.Sprint(i), ""))
	}
	claim, _ := next(t, s)
	must(t, s.PutBack(t.Context(), claim, Put{Due: clock.now.Add(time.Second), Every: time.Second}))
	idle(t, s)
	clock.advance(time.Hour)
	due := 0
	for c, _ := s.Next(100); c != nil; c, _ = s.Next(100) {
		due++
	}
	if due < 1 || due > mostBehind+2 {
		t.Errorf("%d are due at once", due)
	}
}

func TestAStallEndsWithAResume(t *testing.T) {
	clock := newClock()
	s := openStore(t, Config{Now: clock.Now})
	for i := range 3 {
		accept(t, s, of("a", fmt.Sprint(i), fmt.Sprint("a", i)))
	}
	claim, _ := next(t, s)
	must(t, s.PutBack(t.Context(), claim, Put{Due: clock.now.Add(time.Minute), Every: time.Minute}))
	idle(t, s)
	s.Resume("")
	for i := range 3 {
		if _, x := next(t, s); string(x.Body) != fmt.Sprint("a", i) {
			t.Errorf("%s is next", x.Body)
		}
	}
}
