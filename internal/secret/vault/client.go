package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/fsm-integrations/sidecar/internal/egress"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

// largest is the most that is read of an answer. A secret is small; a server that is no Vault may not end.
const largest = 1 << 20

// newClient makes a client that takes nothing from the environment: a VAULT_TOKEN or VAULT_SKIP_VERIFY that somebody left
// there is not what the configuration says.
func newClient(c Config, transport http.RoundTripper) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{Address: c.Address, CheckRetry: never, HttpClient: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // api follows one by itself
	}})
	if err != nil {
		return nil, err
	}
	client.ClearToken()
	client.ClearNamespace()
	client.SetWrappingLookupFunc(func(string, string) string { return "" }) // VAULT_WRAP_TTL would wrap all that is read
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	return client, nil
}

// never retries: who waits has no time for it, and the fetches would multiply.
func never(context.Context, *http.Response, error) (bool, error) { return false, nil }

// newTransport dials Vault directly, without a proxy: what goes there is for nobody else. A dial may outlive the fetch that
// began it, and serve the next one. It is HTTP/1.1, whose connection ends with a request that got no answer; one of HTTP/2
// that leads nowhere any more would be used again and again.
func newTransport(c Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 2 * c.Timeout, ControlContext: egress.Control} // never to a cloud's metadata
	return &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: c.TLS,
		TLSHandshakeTimeout: 2 * c.Timeout, MaxIdleConns: fetchesAtOnce, MaxIdleConnsPerHost: fetchesAtOnce,
		IdleConnTimeout: 90 * time.Second}
}

// bounded cuts off answers that are too large.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, largest), response.Body}
	}
	return response, err
}

// CloseIdleConnections implements what http.Client asks of a transport.
func (b bounded) CloseIdleConnections() {
	if t, ok := b.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// readOnce asks for the newest version of a secret. Its error is a *Failure.
func (s *Store) readOnce(ctx context.Context, path string) (map[string]secret.Value, error) {
	kv, err := s.client.KVv2(s.config.Mount).Get(ctx, path)
	where := s.config.Mount + "/data/" + path
	switch {
	case errors.Is(err, api.ErrSecretNotFound):
		return nil, &Failure{Absent, "there is no secret at " + where}
	case err != nil:
		return nil, judge(err, "Vault denies reading "+where)
	case kv.Data == nil:
		return nil, &Failure{Absent, fmt.Sprintf("the newest version of %s was deleted", where)}
	}
	fields := make(map[string]secret.Value, len(kv.Data))
	for name, value := range kv.Data {
		if text, ok := value.(string); ok {
			fields[name] = secret.NewValue([]byte(text))
		}
	}
	return fields, nil
}

// Reason is why there is no secret; it is the result that metrics count.
type Reason string

// The reasons. The first three say nothing about the secret: what is known of it stays in use for a while.
const (
	Unreachable  Reason = "unreachable"
	Sealed       Reason = "sealed"
	Unwell       Reason = "unwell" // Vault answers, and not with what was asked for
	Denied       Reason = "denied"
	Absent       Reason = "absent"
	LoginRefused Reason = "login_refused"
)

// Results are what Config.Observe may be told.
func Results() []string {
	return []string{"ok", string(Unreachable), string(Sealed), string(Unwell), string(Denied), string(Absent), string(LoginRefused)}
}

// Failure says why there is no secret. It holds no secret.
type Failure struct {
	Reason Reason
	Detail string
}

// Error implements error.
func (f *Failure) Error() string { return f.Detail }

// answer reports whether Vault has said no, rather than nothing.
func (f *Failure) answer() bool {
	return f.Reason == Denied || f.Reason == Absent || f.Reason == LoginRefused
}

// judge says what an error of the client means; denied is how to say that Vault refused.
func judge(err error, denied string) *Failure {
	answer, ok := errors.AsType[*api.ResponseError](err)
	if !ok {
		return &Failure{Unreachable, "Vault cannot be reached: " + reason(err)}
	}
	said := strings.ToLower(strings.Join(answer.Errors, " "))
	switch code := answer.StatusCode; {
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		return &Failure{Denied, fmt.Sprintf("%s (status %d)", denied, code)}
	case code == http.StatusServiceUnavailable && strings.Contains(said, "sealed"):
		return &Failure{Sealed, "Vault is sealed"}
	default:
		return &Failure{Unwell, fmt.Sprintf("Vault answers with status %d", code)}
	}
}

// reason is what went wrong, without the URL, which is known, and without what a stranger may have answered.
func reason(err error) string {
	failed, ok := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the sidecar stops"
	case !ok, strings.Contains(failed.Err.Error(), "malformed"):
		return "what answers there is no Vault"
	}
	text, _, _ := strings.Cut(failed.Err.Error(), `"`) // behind it stand bytes of the answer, which may repeat the token
	return strings.TrimRight(text, " :")
}
