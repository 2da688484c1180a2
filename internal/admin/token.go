package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// bearer is the scheme of the Authorization field (RFC 6750).
const bearer = "bearer"

// presented is the token of a request; "" when there is none, or more than one.
func presented(r *http.Request) string {
	fields := r.Header.Values("Authorization")
	if len(fields) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, bearer) {
		return ""
	}
	return strings.TrimSpace(token)
}

// authorised reports whether a request carries the token. The time it takes tells nothing of the token, nor its length.
func (s *server) authorised(r *http.Request) (bool, error) {
	if s.Token == nil {
		return false, nil
	}
	want, err := s.Token(r.Context())
	if err != nil {
		return false, err
	}
	a, b := sha256.Sum256([]byte(presented(r))), sha256.Sum256(want.Reveal())
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && !want.Empty(), nil
}

// withoutToken says no to a request that lacks the token this listener wants; nil when it may pass. A token that cannot
// be read opens nothing.
func (s *server) withoutToken(r *http.Request, rt route) *Problem {
	if s.Token == nil || rt.open {
		return nil
	}
	ok, err := s.authorised(r)
	switch {
	case err != nil:
		s.Log.Error("the admin token cannot be read: every request is refused", "error", err.Error())
		return refuse(http.StatusServiceUnavailable, "the admin token of this sidecar cannot be read; its log says why")
	case ok:
		return nil
	}
	reason, said := "a wrong token", "this sidecar wants its admin token, and the one it was given is another"
	if presented(r) == "" {
		reason, said = "no token", "this sidecar wants its admin token"
	}
	p := refuse(http.StatusUnauthorized, said+"; commands take it from SIDECAR_ADMIN_TOKEN or --admin-token-file")
	s.audit(r, unknownName, event{action: "sign in", outcome: "refused", reason: reason}, nil)
	return p
}
