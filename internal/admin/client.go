package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/proxy"
)

// readTimeout bounds a question. A replay is not bounded here: the sidecar's total timeout ends it.
const readTimeout = 30 * time.Second

// Client calls the admin API of a running sidecar. Its errors are *Unreachable when there is none, and *Problem when
// the sidecar said no.
type Client struct {
	address string // as it is shown
	base    string // of URLs
	hint    string
	token   secret.Value
	http    *http.Client
}

// NewClient returns a client of the sidecar at address, host:port or unix: and a path. hint ends the message of *Unreachable and says
// how to name another address.
func NewClient(address, hint string) (*Client, error) {
	if path, ok := strings.CutPrefix(address, UnixScheme); ok {
		if path == "" {
			return nil, fmt.Errorf("%q names no socket, such as unix:/run/sidecar/admin.sock", address)
		}
		return &Client{address: address, base: "http://localhost", hint: hint, http: direct("unix", path)}, nil
	}
	dialled, err := Address(address)
	if err != nil {
		return nil, err
	}
	return &Client{address: dialled, base: "http://" + dialled, hint: hint, http: direct("tcp", dialled)}, nil
}

// Present makes the client show a token to a sidecar that wants one.
func (c *Client) Present(token secret.Value) { c.token = token }

// Status asks for the state of the sidecar.
func (c *Client) Status(ctx context.Context) (s proxy.Status, err error) {
	return s, c.get(ctx, "/api/v1/status", &s)
}

// Letters asks for one page of letters, oldest first. Those of a sink may take minutes.
func (c *Client) Letters(ctx context.Context, q Query) (p Page, err error) {
	path := "/api/v1/letters?" + q.Values().Encode()
	if q.From != "" {
		return p, c.do(ctx, http.MethodGet, path, nil, &p)
	}
	return p, c.get(ctx, path, &p)
}

// Adopt takes letters of a sink over into the sidecar's own spool: those that q chooses, of them those with these ids if
// there are any. A dry run only says which of them would be sent.
func (c *Client) Adopt(ctx context.Context, q Query, ids []string, o proxy.ReplayOptions) (a Adoption, err error) {
	return a, c.post(ctx, "/api/v1/adopt?"+q.Values().Encode(), order{Who: o.Who, Force: o.Force, DryRun: o.DryRun, IDs: ids}, &a)
}

// Letter asks for one letter, whole.
func (c *Client) Letter(ctx context.Context, id string) (*dlq.Letter, error) {
	l := new(dlq.Letter)
	return l, c.get(ctx, letterPath(id), l)
}

// Replay sends a letter again.
func (c *Client) Replay(ctx context.Context, id string, o proxy.ReplayOptions) (r proxy.ReplayResult, err error) {
	return r, c.post(ctx, letterPath(id)+"/replay", order{Who: o.Who, Run: o.Run, Force: o.Force, DryRun: o.DryRun}, &r)
}

// Discard marks a letter as not needed any more.
func (c *Client) Discard(ctx context.Context, id, who string) error {
	return c.post(ctx, letterPath(id)+"/discard", order{Who: who}, new(Done))
}

// SetBreaker opens, closes or resets the breaker of an adapter and returns how it stands then.
func (c *Client) SetBreaker(ctx context.Context, adapter string, a proxy.BreakerAction, who string) (d Done, err error) {
	return d, c.post(ctx, "/api/v1/breakers/"+url.PathEscape(adapter)+"/"+string(a), order{Who: who}, &d)
}

// LogLevel asks what is logged.
func (c *Client) LogLevel(ctx context.Context) (s telemetry.LevelState, err error) {
	return s, c.get(ctx, "/api/v1/log-level", &s)
}

// SetLogLevel changes what is logged for a while.
func (c *Client) SetLogLevel(ctx context.Context, level string, lasting time.Duration, who string) (s telemetry.LevelState, err error) {
	return s, c.post(ctx, "/api/v1/log-level/"+url.PathEscape(level), order{Who: who, For: lasting.String()}, &s)
}

// Reload makes the sidecar read its configuration again.
func (c *Client) Reload(ctx context.Context, who string) error {
	return c.post(ctx, "/api/v1/reload", order{Who: who}, new(Done))
}

func letterPath(id string) string { return "/api/v1/letters/" + url.PathEscape(id) }

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return c.do(ctx, http.MethodGet, path, nil, into)
}

func (c *Client) post(ctx context.Context, path string, o order, into any) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, body, into)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.GetBody = nil // or net/http may send a replay twice when a connection breaks
	request.Header.Set(CLIHeader, "1")
	request.Header.Set("Content-Type", "application/json")
	if !c.token.Empty() {
		request.Header.Set("Authorization", "Bearer "+string(c.token.Reveal()))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	return c.read(response, into)
}

func (c *Client) read(response *http.Response, into any) error {
	target := into
	failure := new(Problem)
	if response.StatusCode != http.StatusOK {
		target, response.Body = failure, io.NopCloser(io.LimitReader(response.Body, 1<<20))
	}
	err := json.NewDecoder(response.Body).Decode(target)
	switch {
	case err != nil && response.StatusCode == http.StatusOK && isJSON(response.Header.Get("Content-Type")):
		return c.unreachable(fmt.Errorf("the answer broke off: %w", err))
	case err != nil || target == failure && failure.Type != blank: // the proxy's problems have types of their own
		return c.unreachable(fmt.Errorf("what answers there (status %d) is not a sidecar's admin listener", response.StatusCode))
	case target == failure:
		return failure
	}
	return nil
}

func (c *Client) unreachable(err error) error {
	return &Unreachable{Address: c.address, Hint: c.hint, Err: err}
}
