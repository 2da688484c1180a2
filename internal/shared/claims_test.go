package shared

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// claimed is a Redis whose time the test moves, and claims of a second.
func claimed(t *testing.T) (*Claims, func(time.Duration)) {
	server, now := miniredis.RunT(t), time.Unix(1_800_000_000, 0)
	server.SetTime(now)
	claims := NewClaims(open(t, server, time.Second), ClaimsConfig{Kind: "letter", Cut: "unknown", Life: time.Second, Memory: time.Hour})
	return claims, func(d time.Duration) {
		now = now.Add(d)
		server.SetTime(now)
		server.FastForward(d)
	}
}

func wantClaim(t *testing.T, c *Claims, owner string, granted bool, mark string) (age time.Duration) {
	t.Helper()
	g, m, err := c.Take(t.Context(), "a", owner)
	if err != nil || g != granted || m.Text != mark {
		t.Errorf("%s: granted %v with mark %q, %v; want %v %q", owner, g, m.Text, err, granted, mark)
	}
	return m.Age
}

func TestOneOwnerHasAClaim(t *testing.T) {
	c, advance := claimed(t)
	wantClaim(t, c, "one", true, "")
	wantClaim(t, c, "one", true, "") // a script may run twice
	wantClaim(t, c, "two", false, "")
	advance(900 * time.Millisecond)
	if own, err := c.Extend(t.Context(), "a", "one"); err != nil || !own {
		t.Errorf("extended %v, %v", own, err)
	}
	if own, _ := c.Extend(t.Context(), "a", "two"); own {
		t.Error("somebody else extended the claim")
	}
	advance(900 * time.Millisecond)
	wantClaim(t, c, "two", false, "")
	if err := c.End(t.Context(), "a", "two", ""); err != nil {
		t.Fatal(err)
	}
	wantClaim(t, c, "two", false, "")
	if err := c.End(t.Context(), "a", "one", ""); err != nil {
		t.Fatal(err)
	}
	wantClaim(t, c, "two", true, "")
}

func TestAMarkIsToldToWhoeverClaimsNext(t *testing.T) {
	c, advance := claimed(t)
	wantClaim(t, c, "one", true, "")
	_ = c.End(t.Context(), "a", "one", "replayed")
	wantClaim(t, c, "two", true, "replayed")
	if age := wantClaim(t, c, "two", true, "replayed"); age != 0 {
		t.Errorf("a mark that was just made is %s old", age)
	}
	advance(2 * time.Second) // what became known stays known, although the second was cut off
	if age := wantClaim(t, c, "three", true, "replayed"); age != 2*time.Second {
		t.Errorf("a mark of 2 s ago is %s old", age)
	}
	_ = c.End(t.Context(), "a", "three", "replayed")
	advance(time.Hour + time.Second)
	wantClaim(t, c, "four", true, "")
}

func TestAClaimThatWasCutOffLeavesDoubt(t *testing.T) {
	c, advance := claimed(t)
	wantClaim(t, c, "one", true, "")
	advance(1100 * time.Millisecond)
	if age := wantClaim(t, c, "two", true, "unknown"); age != 100*time.Millisecond {
		t.Errorf("a claim that ran out 100 ms ago is a mark of %s", age)
	}
	if own, _ := c.Extend(t.Context(), "a", "one"); own {
		t.Error("a claim that was lost is extended")
	}
	_ = c.End(t.Context(), "a", "one", "") // the first comes back, and knows nothing
	wantClaim(t, c, "three", false, "unknown")
	_ = c.End(t.Context(), "a", "one", "replayed") // or it does
	wantClaim(t, c, "three", false, "replayed")
	_ = c.End(t.Context(), "a", "two", "replayed")
	_ = c.End(t.Context(), "a", "one", "unknown")
	_ = c.End(t.Context(), "a", "one", "")
	wantClaim(t, c, "three", true, "replayed")
}

func TestALookAtAClaimChangesNothing(t *testing.T) {
	c, advance := claimed(t)
	look := func(taken bool, mark string) {
		t.Helper()
		if got, m, err := c.Look(t.Context(), "a"); err != nil || got != taken || m.Text != mark {
			t.Errorf("taken %v with mark %q, %v; want %v %q", got, m.Text, err, taken, mark)
		}
	}
	look(false, "")
	look(false, "")
	wantClaim(t, c, "one", true, "")
	look(true, "")
	advance(1100 * time.Millisecond)
	look(false, "unknown")
	wantClaim(t, c, "two", true, "unknown")
	look(true, "unknown")
	_ = c.End(t.Context(), "a", "two", "replayed")
	look(false, "replayed")
}

func TestNothingIsClaimedFromARedisThatIsDown(t *testing.T) {
	server := miniredis.RunT(t)
	c := NewClaims(open(t, server, 100*time.Millisecond), ClaimsConfig{Kind: "letter", Life: time.Second, Memory: time.Hour})
	server.Close()
	if granted, _, err := c.Take(t.Context(), "a", "one"); err == nil || granted {
		t.Errorf("granted %v, %v", granted, err)
	}
	if _, err := c.Extend(t.Context(), "a", "one"); err == nil {
		t.Error("extended")
	}
	if _, _, err := c.Look(t.Context(), "a"); err == nil {
		t.Error("looked at")
	}
}
