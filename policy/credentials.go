package policy

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Auth are the credentials of an adapter: exactly one of its members.
type Auth struct {
	Bearer secret.Ref    `yaml:"bearer" doc:"Token sent as Authorization: Bearer."`
	Basic  *Basic        `yaml:"basic" doc:"HTTP Basic (RFC 7617)."`
	Header *SecretHeader `yaml:"header" doc:"A secret in a field of its own."`
	OAuth2 *OAuth2       `yaml:"oauth2" doc:"Access tokens by the client credentials grant (RFC 6749 section 4.4)."`
}

// Basic is a user name and a password.
type Basic struct {
	Username string     `yaml:"username" required:"true" doc:"User name; it must not hold a colon."`
	Password secret.Ref `yaml:"password" required:"true" doc:"Password."`
}

// SecretHeader is a field that carries a secret.
type SecretHeader struct {
	Name  string     `yaml:"name" required:"true" doc:"Field name, such as X-API-Key."`
	Value secret.Ref `yaml:"value" required:"true" doc:"The secret."`
}

func (a *Auth) check(r Report) {
	set := 0
	for _, on := range []bool{a.Bearer != "", a.Basic != nil, a.Header != nil, a.OAuth2 != nil} {
		if on {
			set++
		}
	}
	if set != 1 {
		r.Fault("auth", "needs exactly one of bearer, basic, header, oauth2")
	}
	if a.Basic != nil && strings.Contains(a.Basic.Username, ":") {
		r.Fault("auth.basic.username", "holds a colon, which HTTP Basic cannot carry (RFC 7617 section 2)")
	}
	if a.Header != nil && a.Header.Name != "" {
		if fault := fieldFault(a.Header.Name); fault != "" {
			r.Fault("auth.header.name", fault)
		}
	}
	if a.OAuth2 != nil {
		a.OAuth2.check(r)
	}
}

// credentials puts the adapter's credentials on the attempt's private copy of the request. What the application sent
// in the same field is replaced.
func credentials(a *Auth, h *Host, secrets *secret.Resolver) Stage {
	if a == nil || a.OAuth2 != nil { // accessToken puts that on
		return nil
	}
	field, ref, render := a.compile()
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			value, err := h.fetch(x, secrets, ref)
			if err != nil {
				return nil, err
			}
			if !fieldValue(value.Reveal()) {
				unusable := fmt.Errorf("%s holds a character that no HTTP field can carry", ref)
				h.live.noteCredentials(unusable)
				return nil, credentialsUnavailable("A credential of this adapter cannot be used; the sidecar's log says which.", unusable)
			}
			x.attempt.Fields.Set(field, render(value.Reveal()))
			return next(x)
		}
	}
}

// compile picks the field, the secret and how the one becomes the other.
func (a *Auth) compile() (string, secret.Ref, func([]byte) string) {
	switch {
	case a.Basic != nil:
		return "Authorization", a.Basic.Password, func(password []byte) string {
			pair := append([]byte(a.Basic.Username+":"), password...)
			return "Basic " + base64.StdEncoding.EncodeToString(pair)
		}
	case a.Header != nil:
		return a.Header.Name, a.Header.Value, func(value []byte) string { return string(value) }
	case a.OAuth2 != nil:
		return "Authorization", a.OAuth2.ClientSecret, nil // the secret buys what is sent
	}
	return "Authorization", a.Bearer, func(token []byte) string { return "Bearer " + string(token) }
}

// fieldValue reports whether b can be the value of a field (RFC 9110 section 5.5).
func fieldValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Field is the name of the field that carries the credentials.
func (a *Auth) Field() string {
	field, _, _ := a.compile()
	return field
}

// Secrets are the references that calls with these policies resolve.
func (c *Call) Secrets() []secret.Ref {
	var refs []secret.Ref
	if c.Auth != nil {
		_, ref, _ := c.Auth.compile()
		refs = append(refs, ref)
	}
	if c.Sign != nil {
		refs = append(refs, c.Sign.secrets()...)
		if v := c.Sign.VerifyResponse; v != nil {
			refs = append(refs, v.secrets()...)
		}
	}
	return refs
}

// fetch resolves a secret for one call and remembers whether it could. Without it the call fails closed.
func (h *Host) fetch(x *Exchange, secrets *secret.Resolver, ref secret.Ref) (secret.Value, error) {
	ref, err := ref.Fill(x.Tenant, h.Identity.Name)
	if err != nil {
		return secret.Value{}, tenantMissing(err)
	}
	value, err := secrets.Resolve(x.Ctx, ref)
	h.live.noteCredentials(err)
	if err != nil {
		return value, credentialsUnavailable("A credential of this adapter could not be read; the sidecar's log says which.", err)
	}
	return value, nil
}

func tenantMissing(cause error) error {
	return credentialsUnavailable("A credential of this adapter depends on the tenant, and X-Tenant-ID is missing or not usable.", cause)
}

func credentialsUnavailable(detail string, cause error) *problem.Problem {
	p := problem.New(problem.CredentialsUnavailable, detail)
	p.Cause = cause
	return p
}
