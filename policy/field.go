package policy

import "strings"

// validFieldName reports whether s is a token (RFC 9110 section 5.6.2), as field names and methods are.
func validFieldName(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// equalFold compares field names.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// cutTarget splits a target into path and query.
func cutTarget(target string) (path, query string, found bool) { return strings.Cut(target, "?") }
