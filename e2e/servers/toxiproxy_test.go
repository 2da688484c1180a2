//go:build e2e

package servers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// network is a toxiproxy in front of one upstream.
type network struct {
	url string // what the sidecar calls
	api string
}

func newNetwork(t *testing.T, upstream string) *network {
	t.Helper()
	api := e2e.FreeAddr(t)
	host, port, err := net.SplitHostPort(api)
	must(t, err)
	serve(t, api, "toxiproxy-server", "-host", host, "-port", port)
	front := e2e.FreeAddr(t)
	n := &network{url: "http://" + front, api: "http://" + api}
	n.call(t, http.MethodPost, "/proxies", map[string]any{"name": "p", "listen": front, "upstream": strings.TrimPrefix(upstream, "http://"), "enabled": true})
	return n
}

// add puts a toxic into the stream from the upstream, or with "upstream" into the one to it.
func (n *network) add(t *testing.T, kind, stream string, attributes map[string]any) {
	t.Helper()
	n.call(t, http.MethodPost, "/proxies/p/toxics", map[string]any{"name": kind, "type": kind, "stream": stream, "attributes": attributes})
}

func (n *network) remove(t *testing.T, kind string) {
	t.Helper()
	n.call(t, http.MethodDelete, "/proxies/p/toxics/"+kind, nil)
}

// enable switches the proxy on or off; off, connections are refused.
func (n *network) enable(t *testing.T, on bool) {
	t.Helper()
	n.call(t, http.MethodPost, "/proxies/p", map[string]any{"enabled": on})
}

func (n *network) call(t *testing.T, method, path string, body any) {
	t.Helper()
	content, err := json.Marshal(body)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, n.api+path, bytes.NewReader(content))
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("toxiproxy %s %s: %s %s", method, path, response.Status, text)
	}
}

const quick = "timeout: { attempt: 500ms, total: 5s }\nretry: off"

func TestLatencyEndsInATimeoutAndHeals(t *testing.T) {
	t.Parallel()
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	n := newNetwork(t, up.URL)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", n.url, quick)})
	n.add(t, "latency", "downstream", map[string]any{"latency": 3000})
	s.Get(t, "/sales/a").WantProblem(t, 504, "upstream-timeout")
	a := s.Post(t, "/sales/a", "{}")
	a.WantProblem(t, 504, "upstream-timeout")
	if l := s.Letter(t, a.LetterID()); l.Error.Type != "outcome_unknown" {
		t.Errorf("letter type %q, want outcome_unknown: the provider got the POST", l.Error.Type)
	}
	n.remove(t, "latency")
	s.Post(t, "/sales/a", "{}").WantStatus(t, 200)
}

func TestResetConnections(t *testing.T) {
	t.Parallel()
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	n := newNetwork(t, up.URL)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", n.url, quick)})
	n.add(t, "reset_peer", "downstream", map[string]any{"timeout": 0})
	s.Get(t, "/sales/a").WantProblem(t, 502, "upstream-unreachable")
	a := s.Post(t, "/sales/a", "{}")
	if p := a.WantProblem(t, 502, "upstream-unreachable"); p.LetterID == "" || p.Attempts != 1 {
		t.Errorf("letter %q after %d attempts, want one after one", p.LetterID, p.Attempts)
	}
	n.remove(t, "reset_peer")
	s.Post(t, "/sales/a", "{}").WantStatus(t, 200)
}

func TestCutResponses(t *testing.T) {
	t.Parallel()
	up := e2e.NewUpstream(t, e2e.OK(strings.Repeat("x", 200_000)))
	n := newNetwork(t, up.URL)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", n.url, quick)})
	for _, bytes := range []int{0, 10, 200, 100_000} {
		n.add(t, "limit_data", "downstream", map[string]any{"bytes": bytes})
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a, err := s.Try(t.Context(), method, "/sales/a", "")
			if err == nil && a.Status != 502 {
				t.Errorf("%s cut after %d bytes was passed off as a whole %d of %d bytes", method, bytes, a.Status, len(a.Body))
			}
		}
		n.remove(t, "limit_data")
	}
	if a := s.Get(t, "/sales/a"); a.Status != 200 || len(a.Body) != 200_000 {
		t.Errorf("status %d, %d bytes after the network healed", a.Status, len(a.Body))
	}
}

func TestBlackHoleEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	n := newNetwork(t, up.URL)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", n.url, "timeout: { attempt: 300ms, total: 2s }")})
	n.add(t, "timeout", "upstream", map[string]any{"timeout": 0}) // swallows what is sent, for ever
	a := s.Get(t, "/sales/a")
	p := a.WantProblem(t, 504, "upstream-timeout")
	if p.Attempts != 3 || a.Took > 4*time.Second {
		t.Errorf("%d attempts in %s, want 3 of 300ms", p.Attempts, a.Took)
	}
	up.WantCount(t, 0)
}

func TestOutageOpensAndClosesTheBreaker(t *testing.T) {
	t.Parallel()
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	n := newNetwork(t, up.URL)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", n.url, quick, "breaker: { failure_threshold: 3, success_threshold: 2, reset_timeout: 300ms }")})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	n.enable(t, false)
	for range 3 {
		s.Get(t, "/sales/a").WantProblem(t, 502, "upstream-unreachable")
	}
	a := s.Post(t, "/sales/a", "{}")
	a.WantProblem(t, 503, "circuit-open")
	n.enable(t, true)
	e2e.Eventually(t, "the breaker to close", func() bool {
		s.Get(t, "/sales/a")
		return s.BreakerState(t, "sales") == 0
	})
	s.MustCommand(t, "dlq", "replay", a.LetterID())
	if l := s.Letter(t, a.LetterID()); l.State != "replayed" {
		t.Errorf("state %q of the letter of the outage after its replay", l.State)
	}
}

// A slow network is no failure as long as the deadlines hold.
func TestSlowNetworkDelaysButKeepsEverything(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789", 5000)
	up := e2e.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request, h e2e.Hit) { fmt.Fprint(w, h.Body) })
	n := newNetwork(t, up.URL)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", n.url)})
	n.add(t, "slicer", "downstream", map[string]any{"average_size": 500, "size_variation": 400, "delay": 1000})
	n.add(t, "bandwidth", "upstream", map[string]any{"rate": 200})
	if a := s.Post(t, "/sales/a", body); a.Status != 200 || a.Body != body {
		t.Errorf("status %d, %d of %d bytes came back", a.Status, len(a.Body), len(body))
	}
	up.WantCount(t, 1)
}
