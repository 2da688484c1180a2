// Package oauth gets access tokens by the client credentials grant (RFC 6749 section 4.4) and keeps them as long as they
// serve.
//
// The request and its answer are golang.org/x/oauth2's. What that lacks is here: one fetch at a time that no caller's
// leaving ends, renewal before a token ends, a pause after failures, tokens dropped when they are refused, and errors
// that hold nothing of the endpoint's answer.
package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// maxAnswer bounds a token endpoint's answer, in bytes.
const maxAnswer = 64 << 10

// ClientConfig is what a Client asks for, and how.
type ClientConfig struct {
	TokenURL string
	Scopes   []string
	Audience string // sent when not empty
	Resource string // RFC 8707; sent when not empty
	InBody   bool   // client id and secret go into the body instead of HTTP Basic (RFC 6749 section 2.3.1)
	Timeout  time.Duration
	TLS      *tls.Config
	// Control is asked about every address before it is dialled.
	Control func(ctx context.Context, network, address string, c syscall.RawConn) error
}

// Client asks one token endpoint for tokens.
type Client struct {
	config ClientConfig
	grant  string // tells it from clients that ask for other tokens
	http   *http.Client
}

// NewClient returns a client. identity stands for what config does not show, such as the content of its TLS files.
//
// Each fetch has a connection of its own: they are rare, and a connection that idled for an hour is often a dead one.
func NewClient(c ClientConfig, identity string) *Client {
	dialer := &net.Dialer{Timeout: c.Timeout, ControlContext: c.Control}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: c.TLS, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: maxAnswer}
	style := "basic"
	if c.InBody {
		style = "post"
	}
	return &Client{
		config: c,
		grant:  strings.Join([]string{c.TokenURL, strings.Join(c.Scopes, " "), c.Audience, c.Resource, style, c.Timeout.String(), identity}, "\n"),
		http: &http.Client{Transport: bounded{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// fetch asks for a token once.
func (c *Client) fetch(ctx context.Context, clientID string, key secret.Value) (*Token, *Failure) {
	grant := clientcredentials.Config{ClientID: clientID, ClientSecret: string(key.Reveal()), TokenURL: c.config.TokenURL,
		Scopes: c.config.Scopes, EndpointParams: url.Values{}, AuthStyle: oauth2.AuthStyleInHeader}
	if c.config.InBody {
		grant.AuthStyle = oauth2.AuthStyleInParams
	}
	if c.config.Audience != "" {
		grant.EndpointParams.Set("audience", c.config.Audience)
	}
	if c.config.Resource != "" {
		grant.EndpointParams.Set("resource", c.config.Resource)
	}
	asked := time.Now()
	answer, err := grant.Token(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	if err != nil {
		return nil, failureOf(ctx, err)
	}
	return accept(answer, asked)
}

// accept takes a token that can be used. Its time counts from when it was asked for, the safe side.
func accept(answer *oauth2.Token, asked time.Time) (*Token, *Failure) {
	lifetime := defaultLifetime
	if !answer.Expiry.IsZero() {
		lifetime = time.Until(answer.Expiry)
	}
	switch {
	case !strings.EqualFold(answer.Type(), "Bearer"): // Type takes an absent one for Bearer
		return nil, &Failure{Result: Invalid, cause: errors.New("the token's type is not Bearer")}
	case !plain(answer.AccessToken):
		return nil, &Failure{Result: Invalid, cause: errors.New("the token holds a character that no HTTP credential can carry")}
	case lifetime <= 0:
		return nil, &Failure{Result: Invalid, cause: errors.New("the token has expired already")}
	}
	return newToken(answer.AccessToken, asked, lifetime), nil
}

// plain reports whether a token is visible ASCII: more than RFC 6750 section 2.1 allows, and nothing that ends a field.
func plain(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// bounded refuses an answer that is longer than any with a token in it.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body} // cut off, it is no token any more
	}
	return resp, err
}
