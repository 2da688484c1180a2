package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/proxy"
)

const hint = "--admin names another"

func dial(t *testing.T, h http.Handler) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := NewClient(strings.TrimPrefix(server.URL, "http://"), hint)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientSpeaksWithTheServer(t *testing.T) {
	world, ctx := newWorld(), t.Context()
	c := dial(t, world.handler(func(context.Context) error { return errors.New("c.yaml:1:1: wrong") }))
	if s, err := c.Status(ctx); err != nil || s.Version != "1.2.3" {
		t.Errorf("status: %+v %v", s, err)
	}
	if p, err := c.Letters(ctx, Query{Filter: dlq.Filter{Adapter: "x"}, Limit: 2}); err != nil || len(p.Letters) != 2 || world.asked.Adapter != "x" {
		t.Errorf("letters: %+v %v", p, err)
	}
	if l, err := c.Letter(ctx, "a"); err != nil || string(l.OriginalMessage.Body) != `{"secret":"body"}` {
		t.Errorf("letter: %+v %v", l, err)
	}
	if r, err := c.Replay(ctx, "a", proxy.ReplayOptions{Who: "ann", Force: true}); err != nil || r.Status != 201 || !world.replayed[0].Force {
		t.Errorf("replay: %+v %v", r, err)
	}
	if err := c.Discard(ctx, "a", "ann"); err != nil {
		t.Errorf("discard: %v", err)
	}
	if d, err := c.SetBreaker(ctx, "sales-system", proxy.BreakerOpen, "ann"); err != nil || d.Breaker.State != "open" {
		t.Errorf("breaker: %+v %v", d, err)
	}
	refusal, ok := errors.AsType[*Problem](c.Reload(ctx, "ann"))
	if !ok || refusal.Status != 422 || len(refusal.Faults) != 1 {
		t.Errorf("reload: %+v", refusal)
	}
	if _, err := c.Letter(ctx, "../../status"); err == nil || err.Error() != "there is no letter ../../status" {
		t.Errorf("a path for an id: %v", err)
	}
}

func TestClientSaysWhatToDoWhenThereIsNoSidecar(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	_ = closed.Close()
	c, err := NewClient(address, hint)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	want := "could not reach the sidecar at " + address + ": connection refused; is it running? --admin names another"
	if _, ok := errors.AsType[*Unreachable](err); !ok || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestClientNoticesWhatIsNoSidecar(t *testing.T) {
	page := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	redirect := http.RedirectHandler("/elsewhere", http.StatusFound)
	for name, h := range map[string]http.Handler{
		"a page": page(200, "text/html", "<html>"), "a page not found": page(404, "text/plain", "404 page not found"),
		"other JSON": page(500, "application/json", `{"error":"x"}`), "a redirect": redirect,
		"the proxy":      page(404, "application/problem+json", `{"type":"urn:integration-sidecar:problem:no-adapter","status":404,"detail":"x"}`),
		"the probes":     Probes(newWorld(), http.NotFoundHandler()),
		"half an answer": page(200, "application/json", `{"version":"1`),
	} {
		_, err := dial(t, h).Status(t.Context())
		if _, ok := errors.AsType[*Unreachable](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// net/http sends a request again by itself when a connection breaks and the body can be had again: a replay must not.
func TestReplayIsSentOnceWhenTheConnectionBreaks(t *testing.T) {
	var hits atomic.Int32
	c := dial(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hits.Add(1)
		panic(http.ErrAbortHandler)
	}))
	_, err := c.Replay(t.Context(), "a", proxy.ReplayOptions{})
	if _, ok := errors.AsType[*Unreachable](err); !ok || hits.Load() != 1 {
		t.Errorf("%v after %d", err, hits.Load())
	}
}

func TestReady(t *testing.T) {
	world := newWorld()
	for _, ready := range []bool{true, false} {
		world.ready = ready
		server := httptest.NewServer(Probes(world, http.NotFoundHandler()))
		got, err := Ready(t.Context(), strings.TrimPrefix(server.URL, "http://"), hint)
		if err != nil || got != ready {
			t.Errorf("%v: %v %v", ready, got, err)
		}
		server.Close()
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	_, err := Ready(t.Context(), strings.TrimPrefix(other.URL, "http://"), hint)
	if _, ok := errors.AsType[*Unreachable](err); !ok {
		t.Errorf("another server: %v", err)
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{"127.0.0.1:9901": "127.0.0.1:9901", ":9902": "127.0.0.1:9902", "[::1]:9901": "[::1]:9901", "host:1": "host:1",
		"": "", "9901": "", "host": "", "host:0": "", "host:x": "", "host:65536": "", "http://host:1": ""} {
		if got, err := Address(in); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}
