package policy

import (
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// VersionField carries the version of an adapter: in an answer the one that spoke, in a call the one that is asked for.
const VersionField = "X-Adapter-Version"

// pin refuses a call that asks for a version of the adapter that this is not. What is asked for stays with the call: a
// letter or an accepted exchange of it is not sent by an adapter that has moved on. It is not for the external system.
func pin(id *Identity) Stage {
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			if x.Request.Fields.Has(VersionField) {
				x.pinned = true
				if p := id.Speaks(x.Request.Fields.Get(VersionField)); p != nil {
					return nil, p
				}
			}
			return next(x)
		}
	}
}

// Speaks returns why a call that asks for a version of the adapter is refused; nil when it is not.
func (id *Identity) Speaks(asked string) *problem.Problem {
	wanted, ok := parseWanted(asked)
	switch {
	case !ok:
		return problem.New(problem.InvalidRequest, VersionField+" must be a version such as 2.1.0, or a range such as 2, 2.1, 2.x or ^2.1.")
	case !wanted.takes(parseVersion(id.Version)):
		return problem.New(problem.VersionMismatch, "This sidecar speaks version "+id.Version+" of "+id.Name+"; the call asks for "+wanted.text+" ("+VersionField+"). Nothing was sent.")
	}
	return nil
}

// version is a semantic version without its build metadata (semver.org, section 10: it does not count).
type version struct {
	numbers [3]uint64
	early   string // what marks a pre-release
}

// parseVersion reads a version that internal/config has checked.
func parseVersion(text string) (v version) {
	text, _, _ = strings.Cut(text, "+")
	text, v.early, _ = strings.Cut(text, "-")
	for i, part := range strings.SplitN(text, ".", 3) {
		v.numbers[i], _ = strconv.ParseUint(part, 10, 64)
	}
	return v
}

// wantedVersion is what a call asks for.
type wantedVersion struct {
	text  string
	least version
	known int  // how many of the numbers are given
	caret bool // newer ones that promise to be compatible will do
}

// parseWanted reads 2, 2.1, 2.1.0, 2.1.0-rc.1, 2.x, 2.1.x, ^2, ^2.1, ^2.1.3, each perhaps with a leading v.
func parseWanted(text string) (p wantedVersion, ok bool) {
	p.text = strings.TrimSpace(text)
	rest, caret := strings.CutPrefix(p.text, "^")
	p.caret = caret
	rest, _, _ = strings.Cut(strings.TrimPrefix(rest, "v"), "+")
	rest, early, pre := strings.Cut(rest, "-")
	parts := strings.Split(rest, ".")
	if last := len(parts) - 1; last > 0 && (parts[last] == "x" || parts[last] == "*") && !caret {
		parts = parts[:last]
	}
	if len(parts) > 3 || len(p.text) > 64 || pre && (len(parts) < 3 || early == "" || !visible(early)) {
		return p, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || part[0] == '+' || len(part) > 1 && part[0] == '0' {
			return p, false
		}
		p.least.numbers[i] = n
	}
	p.known, p.least.early = len(parts), early
	return p, true
}

// takes reports whether a version is one that was asked for. A pre-release is only what names it.
func (p wantedVersion) takes(v version) bool {
	if v.early != "" || p.least.early != "" {
		return p.least == v
	}
	if !p.caret {
		return p.cut(v.numbers) == p.least.numbers
	}
	for i := range p.known { // up to and with the first number that is not 0, versions are compatible only when equal
		if p.least.numbers[i] != v.numbers[i] {
			return !p.breaks(i) && v.numbers[i] > p.least.numbers[i]
		}
	}
	return true
}

// cut sets the numbers that are not given to 0.
func (p wantedVersion) cut(numbers [3]uint64) (cut [3]uint64) {
	copy(cut[:p.known], numbers[:p.known])
	return cut
}

// breaks reports whether a change of the number at i is one of the contract: the first that is not 0, or one before it.
func (p wantedVersion) breaks(i int) bool {
	for _, n := range p.least.numbers[:i] {
		if n != 0 {
			return false
		}
	}
	return true
}
