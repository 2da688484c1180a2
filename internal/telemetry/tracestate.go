package telemetry

import (
	"slices"
	"strings"
)

const (
	maxTracestateMembers = 32  // section 3.3.1.1
	maxTracestateLength  = 512 // that every participant should pass on (section 3.3.1.5)
	longTracestateMember = 128 // goes first when a list is longer than that
)

// JoinTracestate makes one list of the values of a call's tracestate fields, "" of none and of a malformed one, which
// is dropped whole (W3C Trace Context section 3.3). A list that is too long loses whole members: the long ones first,
// then those at its end, which are the oldest.
func JoinTracestate(values ...string) string {
	var members []string
	for _, value := range values {
		for member := range strings.SplitSeq(value, ",") {
			if member = strings.Trim(member, " \t"); member == "" {
				continue
			}
			if !validTracestateMember(member) || len(members) == maxTracestateMembers {
				return ""
			}
			members = append(members, member)
		}
	}
	list := strings.Join(members, ",")
	for at := len(members) - 1; len(list) > maxTracestateLength && at >= 0; at-- {
		if len(members[at]) > longTracestateMember {
			members = slices.Delete(members, at, at+1)
			list = strings.Join(members, ",")
		}
	}
	for len(list) > maxTracestateLength {
		members = members[:len(members)-1]
		list = strings.Join(members, ",")
	}
	return list
}

// validTracestateMember reports whether a member is key=value (sections 3.3.1.3.1 and 3.3.1.3.2).
func validTracestateMember(member string) bool {
	key, value, found := strings.Cut(member, "=")
	if !found || value == "" || len(value) > 256 || value[len(value)-1] == ' ' || !validTracestateKey(key) {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}

// validTracestateKey takes a plain key and one of a tenant, tenant@system, either of which may begin with a digit as
// Level 2 of the specification has it.
func validTracestateKey(key string) bool {
	if tenant, system, multi := strings.Cut(key, "@"); multi {
		return tracestateKeyPart(tenant, 241) && tracestateKeyPart(system, 14)
	}
	return tracestateKeyPart(key, 256)
}

func tracestateKeyPart(part string, most int) bool {
	if part == "" || len(part) > most {
		return false
	}
	for i := range len(part) {
		switch c := part[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '*' || c == '/'):
		default:
			return false
		}
	}
	return true
}
