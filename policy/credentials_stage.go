package policy

import (
	"encoding/base64"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// credentials puts the adapter's credentials on the attempt's private copy of the request. What the application sent
// in the same field is replaced.
func credentials(a *Auth, id *Identity, secrets *secret.Resolver) Stage {
	if a == nil {
		return nil
	}
	field, ref, render := a.compile()
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			value, err := fetch(secrets, ref, x.Tenant, id.Name)
			if err != nil {
				return nil, err
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
	}
	return "Authorization", a.Bearer, func(token []byte) string { return "Bearer " + string(token) }
}

// Field is the name of the field that carries the credentials.
func (a *Auth) Field() string {
	field, _, _ := a.compile()
	return field
}

// fetch resolves a secret for one call. Without it the call fails closed.
func fetch(secrets *secret.Resolver, ref secret.Ref, tenant, adapter string) (secret.Value, error) {
	ref, err := ref.Fill(tenant, adapter)
	if err != nil {
		return secret.Value{}, credentialsUnavailable("A credential of this adapter depends on the tenant, and X-Tenant-ID is missing or not usable.", err)
	}
	value, err := secrets.Resolve(ref)
	if err != nil {
		return value, credentialsUnavailable("A credential of this adapter could not be read; the sidecar's log says which.", err)
	}
	for _, c := range value.Reveal() {
		if c == '\r' || c == '\n' || c == 0 {
			return secret.Value{}, credentialsUnavailable("A credential of this adapter holds a line break.", nil)
		}
	}
	return value, nil
}

func credentialsUnavailable(detail string, cause error) error {
	p := problem.New(problem.CredentialsUnavailable, detail)
	p.Cause = cause
	return p
}
