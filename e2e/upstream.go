package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Hit is one request as the external system saw it.
type Hit struct {
	N       int // from 1
	Method  string
	Target  string // request target, byte for byte
	Host    string
	Header  http.Header
	Trailer http.Header
	Body    string
	At      time.Time
}

// Reply answers a hit.
type Reply func(w http.ResponseWriter, r *http.Request, h Hit)

// Upstream is an external system that records what reaches it.
type Upstream struct {
	URL string // without a trailing slash

	t       testing.TB
	server  *httptest.Server
	replies []Reply
	mu      sync.Mutex
	hits    []Hit
}

// NewUpstream answers the nth request with the nth reply, and all later ones with the last.
func NewUpstream(t testing.TB, replies ...Reply) *Upstream {
	t.Helper()
	u := &Upstream{t: t, replies: replies}
	u.server = httptest.NewServer(u)
	u.URL = u.server.URL
	t.Cleanup(u.server.Close)
	return u
}

// ServeHTTP implements http.Handler: the body is read before the hit counts and is answered.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, _ := io.ReadAll(r.Body) // a client that went away leaves what it sent
	h := Hit{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Trailer: r.Trailer.Clone(), Body: string(body), At: at}
	u.mu.Lock()
	h.N = len(u.hits) + 1
	u.hits = append(u.hits, h)
	u.mu.Unlock()
	u.replies[min(h.N, len(u.replies))-1](w, r, h)
}

// Hits returns what arrived so far.
func (u *Upstream) Hits() []Hit {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.hits)
}

// Count is the number of requests so far.
func (u *Upstream) Count() int { return len(u.Hits()) }

// Last is the newest hit; there must be one.
func (u *Upstream) Last(t testing.TB) Hit {
	t.Helper()
	hits := u.Hits()
	if len(hits) == 0 {
		t.Fatalf("nothing reached the upstream")
	}
	return hits[len(hits)-1]
}

// WantCount fails the test unless exactly n requests arrived.
func (u *Upstream) WantCount(t testing.TB, n int) []Hit {
	t.Helper()
	hits := u.Hits()
	if len(hits) != n {
		t.Fatalf("%d requests reached the upstream, want %d: %s", len(hits), n, targets(hits))
	}
	return hits
}

func targets(hits []Hit) string {
	var all []string
	for _, h := range hits[:min(len(hits), 20)] {
		all = append(all, h.Method+" "+h.Target)
	}
	return strings.Join(all, ", ")
}

// Address is the host and port of the upstream.
func (u *Upstream) Address() string { return strings.TrimPrefix(u.URL, "http://") }

// Status answers with a status, a short body that names it, and fields of the form "Name: value".
func Status(code int, fields ...string) Reply {
	return func(w http.ResponseWriter, _ *http.Request, _ Hit) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(code)
		if code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified {
			_, _ = io.WriteString(w, "upstream says "+http.StatusText(code))
		}
	}
}

// OK answers 200 with body.
func OK(body string, fields ...string) Reply {
	return func(w http.ResponseWriter, r *http.Request, h Hit) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		_, _ = io.WriteString(w, body)
	}
}

// Drop closes the connection after the request was read, without a byte of an answer.
func Drop(w http.ResponseWriter, _ *http.Request, _ Hit) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}

// Reset is Drop with a TCP reset.
func Reset(w http.ResponseWriter, _ *http.Request, _ Hit) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// Gate holds hits until it is opened.
type Gate struct {
	Entered chan Hit      // one per hit that waits
	Left    chan Hit      // one per hit whose caller went away while it waited
	open    chan struct{} //
	once    sync.Once
}

// NewGate returns a closed gate; it opens at the end of the test at the latest.
func NewGate(t testing.TB) *Gate {
	g := &Gate{Entered: make(chan Hit, 1024), Left: make(chan Hit, 1024), open: make(chan struct{})}
	t.Cleanup(g.Open)
	return g
}

// Open lets every hit through, now and later.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// Hold is a reply that waits for the gate and then answers as next does.
func (g *Gate) Hold(next Reply) Reply {
	return func(w http.ResponseWriter, r *http.Request, h Hit) {
		g.Entered <- h
		select {
		case <-g.open:
			next(w, r, h)
		case <-r.Context().Done():
			g.Left <- h
		}
	}
}

// WaitEntered returns the next hit that waits at the gate.
func (g *Gate) WaitEntered(t testing.TB) Hit {
	t.Helper()
	return Receive(t, g.Entered, "a call to reach the upstream")
}
