package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/fsm-integrations/sidecar/internal/egress"
	"github.com/fsm-integrations/sidecar/internal/oauth"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// OAuth2 is a client of an authorization server.
type OAuth2 struct {
	TokenURL     string         `yaml:"token_url" required:"true" format:"url" doc:"Token endpoint, https; http only to this host itself."`
	ClientID     string         `yaml:"client_id" required:"true" doc:"Client identifier; {tenant} and {adapter} are filled per call."`
	ClientSecret secret.Ref     `yaml:"client_secret" required:"true" doc:"Client secret; read again for each token."`
	Scopes       []string       `yaml:"scopes" doc:"Scopes asked for."`
	AuthStyle    string         `yaml:"auth_style" default:"basic" enum:"basic,post" doc:"How the client tells who it is: HTTP Basic, or client_id and client_secret in the body (RFC 6749 section 2.3.1)."`
	Audience     string         `yaml:"audience" doc:"Parameter audience of the request, which some endpoints ask for."`
	Resource     string         `yaml:"resource" doc:"Parameter resource of the request (RFC 8707)."`
	Timeout      units.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"1m" doc:"Longest wait for the token endpoint's answer."`
	TLS          *TLS           `yaml:"tls" default:"off" doc:"TLS to the token endpoint beyond the system's roots."`
}

func (o *OAuth2) check(r Report) {
	if fault := tokenURLFault(o.TokenURL); fault != "" {
		r.Fault("auth.oauth2.token_url", fault)
	}
	for _, scope := range o.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			r.Fault("auth.oauth2.scopes", fmt.Sprintf("%q is not one scope (RFC 6749 section 3.3); write each as an item of its own", scope))
		}
	}
	if o.TLS != nil {
		o.TLS.Check(within{r, "auth.oauth2."})
	}
}

// tokenURLFault says what is wrong with a token endpoint; "" when nothing is. It does not repeat the URL.
func tokenURLFault(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "is not a URL, such as https://login.example.com/token"
	}
	addr, err := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme != "https" && !egress.IsLoopback(u.Hostname()):
		return "would send the client secret unencrypted; use https (http is for this host itself only)"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return "holds a fragment, which a token endpoint must not have (RFC 6749 section 3.2)"
	case err == nil && egress.Forbidden(addr) != "":
		return "is a link-local, metadata, multicast or unspecified address, which is never called"
	}
	return ""
}

// within places what is found of a block inside another.
type within struct {
	Report
	prefix string
}

func (w within) Fault(path, message string) { w.Report.Fault(w.prefix+path, message) }
func (w within) Warn(path, message string)  { w.Report.Warn(w.prefix+path, message) }

// client compiles the settings.
func (o *OAuth2) client() (*oauth.Client, error) {
	files, err := o.TLS.Follow(nil)
	if err != nil {
		return nil, fmt.Errorf("auth.oauth2: %w", err)
	}
	u, err := url.Parse(o.TokenURL)
	if err != nil {
		return nil, errors.New("auth.oauth2.token_url is not a URL")
	}
	control, err := tokenEgress(u)
	if err != nil {
		return nil, err
	}
	identity := "the system's"
	if o.TLS != nil {
		identity = fmt.Sprintf("%s %s %v %s", o.TLS.ServerName, o.TLS.MinVersion, o.TLS.Pins, files.digest())
	}
	return oauth.NewClient(oauth.ClientConfig{TokenURL: o.TokenURL, Scopes: o.Scopes, Audience: o.Audience, Resource: o.Resource,
		InBody: o.AuthStyle == "post", Timeout: o.Timeout.D(), TLS: files.Config(), Control: control}, identity), nil
}

// tokenEgress checks addresses at dial as for an external system. The adapter's own egress is not asked: the token
// endpoint is another system. Without TLS only this host itself is called, whatever its name resolves to.
func tokenEgress(u *url.URL) (func(context.Context, string, string, syscall.RawConn) error, error) {
	guard, err := newEgressGuard(u.Hostname(), nil)
	if err != nil || u.Scheme == "https" {
		return guard.Control, err
	}
	return func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
			return egress.ErrDenied
		}
		return guard.Control(ctx, network, address, c)
	}, nil
}

// accessToken puts a token on the attempt's private copy of the request. A token that the external system answers with
// 401 is dropped, unless it is too young for another one to help.
func accessToken(a *Auth, h *Host, secrets *secret.Resolver) (Stage, error) {
	if a == nil || a.OAuth2 == nil {
		return nil, nil
	}
	client, err := a.OAuth2.client()
	if err != nil {
		return nil, err
	}
	h.fetchesTokens = true
	o := a.OAuth2
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			source, err := o.source(x, h, client, secrets)
			if err != nil {
				return nil, err
			}
			began := x.clock()
			token, err := source.Get(x.Ctx, x.Deadline)
			x.waited(waitToken, began)
			if token == nil {
				return nil, h.noToken(x, err)
			}
			h.live.noteCredentials(nil)
			h.live.noteToken(err)
			x.TokenError = err
			x.attempt.Fields.Set("Authorization", "Bearer "+string(token.Reveal()))
			resp, err := next(x)
			x.refused = err == nil && resp.Status == 401 && source.Refused(token)
			return resp, err
		}
	}, nil
}

// source finds the tokens of the call's client.
func (o *OAuth2) source(x *Exchange, h *Host, client *oauth.Client, secrets *secret.Resolver) (*oauth.Source, error) {
	id, err := secret.Ref(o.ClientID).Fill(x.Tenant, h.Identity.Name)
	ref, refErr := o.ClientSecret.Fill(x.Tenant, h.Identity.Name)
	if err = errors.Join(err, refErr); err != nil {
		return nil, tenantMissing(err)
	}
	return h.tokens.Of(client, string(id), ref, secrets), nil
}

// noToken is the answer to a call that got none.
func (h *Host) noToken(x *Exchange, err error) error {
	if x.Ctx.Err() != nil {
		return x.gone()
	}
	failure := (*oauth.Failure)(nil)
	if !errors.As(err, &failure) { // not the external system's fault, so not the total timeout that its breaker would count
		return credentialsUnavailable("The token endpoint of this adapter did not answer within the call's total time.", err)
	}
	h.live.noteCredentials(err)
	h.live.noteToken(nil)
	p := credentialsUnavailable("There is no access token for this adapter: "+failure.Detail()+".", errors.Unwrap(failure))
	p.RetryAfter = max(time.Until(failure.RetryAt), time.Second)
	return p
}

// TokenFetches counts what came of token requests since the start; nil for a system that is called without tokens.
func (h *Host) TokenFetches() map[oauth.Result]uint64 {
	if !h.fetchesTokens {
		return nil
	}
	return h.tokens.Fetches()
}
