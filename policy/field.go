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

// reserved are the fields that frame a message, concern one connection, or are the sidecar's own: no policy may write
// its value into them.
var reserved = [...]string{"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive",
	"Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect", "Via",
	CorrelationField, tenantField, userField, timeoutField, baggageField, traceparentField, tracestateField}

// fieldFault says what is wrong with a field that a policy writes; "" when nothing is.
func fieldFault(name string) string {
	if !validFieldName(name) {
		return "is not a field name"
	}
	for _, r := range reserved {
		if strings.EqualFold(name, r) {
			return r + " is a field that frames the message or is the sidecar's own; it cannot carry this"
		}
	}
	return ""
}

// checkFields reports policies that write into the same field: the last would win, and the key or the credential of
// the other would be lost.
func (s *Settings) checkFields(r Report) {
	type use struct{ path, field string }
	var uses []use
	if s.Auth != nil {
		uses = append(uses, use{"auth", s.Auth.Field()})
	}
	if s.Idempotency != nil {
		uses = append(uses, use{"idempotency.header", s.Idempotency.Header})
	}
	if s.Sign != nil {
		for _, f := range s.Sign.fields() {
			uses = append(uses, use{f[0], f[1]})
		}
	}
	for i, u := range uses {
		for _, earlier := range uses[:i] {
			if strings.EqualFold(u.field, earlier.field) {
				r.Fault(u.path, "writes into "+u.field+", as "+earlier.path+" does; one of the two would be lost")
			}
		}
	}
}
