package policy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestWhichVersionsACallMayAskFor(t *testing.T) {
	for own, asked := range map[string]struct{ takes, refuses, malformed string }{
		"2.1.3": {"2 2.1 2.1.3 v2 2.x 2.1.x 2.* ^2 ^2.1 ^2.0 ^2.1.2 ^2.1.3 ^v2 2.1.3+build", "1 3 2.0 2.2 2.1.2 2.1.4 ^1 ^3 ^2.2 ^2.1.4 ^1.9 2.1.3-rc.1 2.0.x",
			"x 2. .1 2.1.3.4 2..1 02 2.01 ^2.x ~2.1 >=2 2.1- 2-rc 2.1.3-é +2 2,3 2||3 18446744073709551616 latest"},
		"0.2.3":        {"0 0.2 0.2.3 ^0.2 ^0.2.2 ^0 0.x", "^0.1 ^0.3 ^0.2.4 0.3 1 ^1", ""},
		"0.0.3":        {"^0.0.3 ^0.0 ^0 0.0.3", "^0.0.2 ^0.0.4 ^0.1", ""},
		"3.0.0-rc.1":   {"3.0.0-rc.1", "3 3.0 3.0.0 ^3 3.x 3.0.0-rc.2 2 ^2", ""},
		"1.0.0+2026.1": {"1 1.0 1.0.0 ^1 1.0.0+other", "2 1.0.1", ""},
	} {
		id := &Identity{Name: "erp", Version: own}
		for _, pin := range strings.Fields(asked.takes) {
			if p := id.Speaks(pin); p != nil {
				t.Errorf("%s is not %s: %v", own, pin, p)
			}
		}
		for _, pin := range strings.Fields(asked.refuses) {
			if p := id.Speaks(pin); p == nil || p.Kind != problem.VersionMismatch {
				t.Errorf("%s is %s: %v", own, pin, p)
			}
		}
		for _, pin := range append(strings.Fields(asked.malformed), "", strings.Repeat("1", 65)) {
			if p := id.Speaks(pin); p == nil || p.Kind != problem.InvalidRequest {
				t.Errorf("%q is understood: %v", pin, p)
			}
		}
	}
}

func TestACallThatAsksForAnotherVersionIsNotSent(t *testing.T) {
	u := upstream.Always(t, upstream.OK("made"))
	r := newRig(t, u.URL(), quick())
	a := r.call("POST", "/orders", "{}", VersionField, "^2.1")
	p, _ := a.err.(*problem.Problem)
	if kindOf(a.err) != problem.VersionMismatch || p.Status() != 412 || p.Detail != "This sidecar speaks version 1.2.3 of erp; the call asks for ^2.1 (X-Adapter-Version). Nothing was sent." {
		t.Errorf("%v", a.err)
	}
	if u.Hits() != 0 || len(letters(t, r.spool)) != 0 {
		t.Errorf("%d calls, %d letters", u.Hits(), len(letters(t, r.spool)))
	}
	if a := r.call("POST", "/orders", "{}", VersionField, "1.2"); a.err != nil || u.Request(1).Fields.Has(VersionField) {
		t.Errorf("%v, sent %v", a.err, u.Request(1).Fields)
	}
}

// What a call asks for stays with it: an adapter that has moved on does not send what was meant for the one before.
func TestALetterRemembersTheVersionItsCallAskedFor(t *testing.T) {
	u := upstream.Always(t, upstream.Status(500))
	r := newRig(t, u.URL(), quick(retryOff))
	r.call("POST", "/orders", "{}", VersionField, "^1.0")
	for _, h := range letters(t, r.spool)[0].OriginalMessage.Headers {
		if h.Name == VersionField && h.Value == "^1.0" {
			return
		}
	}
	t.Error("it is not in the letter")
}
