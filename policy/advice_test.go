package policy

import (
	"net/netip"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

func TestAdviceKnowsWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		settings Settings
		method   string
		kind     problem.Kind
		by       string
		key      bool
	}{
		{Settings{}, "POST", "", "", false},
		{Settings{}, "TRACE", problem.MethodNotAllowed, "", false},
		{Settings{Call: Call{Validate: &Validate{}}}, "PUT", "", "", false},
		{Settings{Call: Call{Validate: &Validate{Methods: []string{"GET"}}}}, "PUT", problem.MethodNotAllowed, "validate.methods", false},
		{Settings{Call: Call{Idempotency: &Idempotency{Required: true}}}, "POST", "", "", true},
		{Settings{Call: Call{Idempotency: &Idempotency{Required: true}}}, "GET", "", "", false},
	} {
		a := Advise(&c.settings, c.method)
		if a.Refused != c.kind || a.RefusedBy != c.by || a.NeedsKey != c.key || (a.Attempts == 0) != (c.kind != "") {
			t.Errorf("%s with %+v: %+v", c.method, c.settings, a)
		}
	}
}

// What validate refuses must be what the dialler refuses, for every upstream there can be.
func TestNeverDialledIsWhatNoEgressAllows(t *testing.T) {
	for _, text := range []string{"169.254.169.254", "::ffff:169.254.0.1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "0.0.0.0", "::",
		"10.0.0.1", "203.0.113.7", "fd00::1", "2001:db8::1", "127.0.0.1"} {
		addr := netip.MustParseAddr(text)
		g, err := newEgressGuard(addr.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if NeverDialled(addr) == g.allows(addr.Unmap().WithZone("")) {
			t.Errorf("%s: never dialled %v", text, NeverDialled(addr))
		}
	}
}
