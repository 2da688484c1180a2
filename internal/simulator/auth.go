package simulator

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
)

// Credential is what a system demands of its callers.
type Credential struct {
	Field  string // field that carries it
	Value  string // the whole value of the field
	User   string // user name, of HTTP Basic only
	Secret string // the secret inside of Value, as an adapter's configuration refers to it
}

// Bearer demands Authorization: Bearer token.
func Bearer(token string) Credential {
	return Credential{Field: "Authorization", Value: "Bearer " + token, Secret: token}
}

// Basic demands HTTP Basic (RFC 7617).
func Basic(user, password string) Credential {
	pair := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return Credential{Field: "Authorization", Value: "Basic " + pair, User: user, Secret: password}
}

// Header demands a secret in a field of its own.
func Header(name, value string) Credential {
	return Credential{Field: name, Value: value, Secret: value}
}

// Set puts the credential on a request, for callers that go to the system directly.
func (c Credential) Set(h http.Header) {
	h.Set(c.Field, c.Value)
}

func (c Credential) accepts(h http.Header) bool {
	return subtle.ConstantTimeCompare([]byte(h.Get(c.Field)), []byte(c.Value)) == 1
}
