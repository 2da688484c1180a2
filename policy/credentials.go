package policy

import (
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// Auth are the credentials of an adapter: exactly one of its members.
type Auth struct {
	Bearer secret.Ref    `yaml:"bearer" doc:"Token sent as Authorization: Bearer."`
	Basic  *Basic        `yaml:"basic" doc:"HTTP Basic (RFC 7617)."`
	Header *SecretHeader `yaml:"header" doc:"A secret in a field of its own."`
	OAuth2 *OAuth2       `yaml:"oauth2" later:"*" doc:"Client credentials grant (RFC 6749 section 4.4)."`
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

// OAuth2 is a client of an authorization server.
type OAuth2 struct {
	TokenURL     string     `yaml:"token_url" required:"true" doc:"Token endpoint, https."`
	ClientID     string     `yaml:"client_id" required:"true" doc:"Client identifier."`
	ClientSecret secret.Ref `yaml:"client_secret" required:"true" doc:"Client secret."`
	Scopes       []string   `yaml:"scopes" doc:"Scopes asked for."`
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
	if a.Header != nil && a.Header.Name != "" && !validFieldName(a.Header.Name) {
		r.Fault("auth.header.name", "is not a field name")
	}
}
