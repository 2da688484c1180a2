package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// The ways to log in.
const (
	Kubernetes = "kubernetes" // with the pod's service account
	AppRole    = "approle"
	TokenFile  = "token_file" // with a token that somebody else keeps in a file, such as Vault Agent
)

// Login is how the sidecar logs in. Its secrets are read anew at each login, so that changed ones are followed.
type Login struct {
	Method string
	Mount  string // of the auth method; "" for the method's own name
	Role   string // of Kubernetes

	JWT      func() (secret.Value, error) // of Kubernetes
	RoleID   func() (secret.Value, error) // of AppRole
	SecretID func() (secret.Value, error) // of AppRole
	Token    func() (secret.Value, error) // of TokenFile
}

// lease is a token and how long it lasts.
type lease struct {
	token     string
	obtained  time.Time
	lasts     time.Duration // 0: for ever
	renewable bool
}

// login gets a token. Its error is a *Failure.
func (s *Store) login(ctx context.Context) (lease, error) {
	l := &s.config.Login
	switch l.Method {
	case TokenFile:
		return s.adopt(ctx)
	case AppRole:
		return s.loginWith(ctx, map[string]func() (secret.Value, error){"role_id": l.RoleID, "secret_id": l.SecretID}, nil)
	}
	return s.loginWith(ctx, map[string]func() (secret.Value, error){"jwt": l.JWT}, map[string]any{"role": l.Role})
}

// loginWith sends secrets and plain values to the auth method.
func (s *Store) loginWith(ctx context.Context, secrets map[string]func() (secret.Value, error), form map[string]any) (lease, error) {
	if form == nil {
		form = map[string]any{}
	}
	var sent []string
	for name, read := range secrets {
		value, err := read()
		if err != nil {
			return lease{}, &Failure{LoginRefused, "cannot log in to Vault: " + err.Error()}
		}
		sent = append(sent, string(value.Reveal()))
		form[name] = string(value.Reveal())
	}
	mount := s.config.Login.Mount
	if mount == "" {
		mount = s.config.Login.Method
	}
	asked := time.Now()
	answer, err := s.client.Logical().WriteWithContext(ctx, "auth/"+mount+"/login", form)
	switch {
	case err != nil:
		return lease{}, refusedLogin(err, mount, sent)
	case answer == nil || answer.Auth == nil || answer.Auth.ClientToken == "":
		return lease{}, &Failure{Unwell, "Vault answers a login without a token"}
	}
	return lease{token: answer.Auth.ClientToken, obtained: asked, lasts: time.Duration(answer.Auth.LeaseDuration) * time.Second,
		renewable: answer.Auth.Renewable}, nil
}

// refusedLogin adds what Vault says about a login, which is what one needs to put it right, unless it
// repeats a secret.
func refusedLogin(err error, mount string, secrets []string) *Failure {
	f := judge(err, "Vault refuses the login at auth/"+mount)
	if f.Reason == Denied {
		f.Reason = LoginRefused
	}
	answer, ok := errors.AsType[*api.ResponseError](err)
	if ok && answer.StatusCode == http.StatusBadRequest { // a role or a secret id that does not exist
		f = &Failure{LoginRefused, "Vault refuses the login at auth/" + mount + " (status 400)"}
	}
	if f.Reason != LoginRefused || answer.RawError || len(answer.Errors) == 0 {
		return f
	}
	said := answer.Errors[0]
	for _, sent := range secrets {
		if strings.Contains(said, sent) {
			return f
		}
	}
	const most = 200
	if len(said) > most {
		said = said[:most]
	}
	f.Detail += fmt.Sprintf(": %q", said)
	return f
}

// adopt takes the token from its file and asks how long it lasts.
func (s *Store) adopt(ctx context.Context) (lease, error) {
	value, err := s.config.Login.Token()
	if err != nil {
		return lease{}, &Failure{LoginRefused, "there is no token for Vault: " + err.Error()}
	}
	token := string(value.Reveal())
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return lease{}, &Failure{LoginRefused, "the token for Vault holds a character that no token has"}
	}
	s.client.SetToken(token)
	l := lease{token: token, obtained: time.Now()}
	self, err := s.client.Auth().Token().LookupSelfWithContext(ctx)
	switch f := (*Failure)(nil); {
	case err != nil:
		if f = judge(err, "Vault refuses the token"); f.Reason == Denied {
			f.Reason = LoginRefused
		}
		return lease{}, f
	case self == nil:
		return lease{}, &Failure{Unwell, "Vault says nothing about the token"}
	}
	if l.lasts, err = self.TokenTTL(); err != nil {
		return lease{}, &Failure{Unwell, "Vault does not say how long the token lasts"}
	}
	l.renewable, _ = self.TokenIsRenewable()
	return l, nil
}
