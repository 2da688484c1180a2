package upstream

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// patience bounds the Wait methods: far longer than a loaded machine needs, far shorter than the test time-out.
const patience = 20 * time.Second

// Server is one scripted upstream.
type Server struct {
	t        testing.TB
	listener net.Listener
	scheme   string
	tls      *tls.Config
	pki      *authority
	source   source
	done     chan struct{}
	running  sync.WaitGroup

	mu      sync.Mutex
	taken   int           // steps handed out
	dialled int           // connections accepted
	seen    []*Seen       // in the order of arrival
	open    map[*conn]int // live connections
	closed  bool
	faults  []string      // what cleanup reports
	changed chan struct{} // closed and replaced whenever seen grows
}

// source says which step answers a request: a list, one step for all, or a function of the request.
type source struct {
	steps []Step
	every *Step
	fn    func(n int, r *Seen) Step
}

// Script plays one step per request, in the order in which requests arrive. A missing or surplus request fails the
// test when it ends.
func Script(t testing.TB, steps ...Step) *Server {
	return serve(t, source{steps: steps})
}

// Always plays the same step for every request.
func Always(t testing.TB, step Step) *Server {
	return serve(t, source{every: &step})
}

// Func asks fn for the step of each request, n counting from 1. fn runs after the body was read, so Early and
// CloseBeforeRead come late here; it is called by one goroutine per connection.
func Func(t testing.TB, fn func(n int, r *Seen) Step) *Server {
	return serve(t, source{fn: fn})
}

// Refused returns the URL of a loopback port on which nothing listens.
func Refused(t testing.TB) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatalf("upstream: close: %v", err)
	}
	return "http://" + l.Addr().String()
}

func serve(t testing.TB, src source) *Server {
	t.Helper()
	return start(&Server{t: t, listener: listen(t), scheme: "http", source: src})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("upstream: listen: %v", err)
	}
	return l
}

func start(s *Server) *Server {
	s.done, s.changed, s.open = make(chan struct{}), make(chan struct{}), map[*conn]int{}
	s.running.Go(s.accept)
	s.t.Cleanup(s.finish)
	return s
}

// URL is the base URL, without a trailing slash.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr() }

// Addr is the host and port the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Hits counts the requests that arrived, including those that were cut off by the client.
func (s *Server) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// Conns counts the connections accepted so far, those that never carried a request too.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled
}

// Requests returns what arrived so far, in order of arrival.
func (s *Server) Requests() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Seen, len(s.seen))
	for i, r := range s.seen {
		out[i] = *r
	}
	return out
}

// Request returns the nth request, counting from 1, and fails the test when it did not arrive.
func (s *Server) Request(n int) Seen {
	s.t.Helper()
	all := s.Requests()
	if n < 1 || n > len(all) {
		s.t.Fatalf("upstream: request %d was asked for, %d arrived", n, len(all))
	}
	return all[n-1]
}

// WaitHits returns once n requests have arrived and fails the test when they do not.
func (s *Server) WaitHits(n int) {
	s.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		hits, changed := len(s.seen), s.changed
		s.mu.Unlock()
		if hits >= n {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			s.t.Fatalf("upstream: waited for %d requests, %d arrived", n, hits)
		}
	}
}

// WaitGone returns once the client has left the nth request without its answer and fails the test when it stays.
func (s *Server) WaitGone(n int) {
	s.t.Helper()
	s.WaitHits(n)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.Request(n).Gone:
	case <-timer.C:
		s.t.Fatalf("upstream: the client did not leave request %d", n)
	}
}

// Drop closes every connection there is now, as a provider does that restarts or reaps idle connections.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.raw.Close()
	}
}

// take hands out the step of the next request, or none when the step depends on the request.
func (s *Server) take() (n int, step Step, fixed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	switch n = s.taken; {
	case s.source.every != nil:
		return n, *s.source.every, true
	case s.source.fn != nil:
		return n, Step{}, false
	case n <= len(s.source.steps):
		return n, s.source.steps[n-1], true
	}
	s.faults = append(s.faults, fmt.Sprintf("surplus request %d, the script has %d steps", n, len(s.source.steps)))
	return n, Status(500, "upstream: surplus request"), true
}

func (s *Server) record(r *Seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// finish ends everything and then judges the script: only now can a request no longer come late.
func (s *Server) finish() {
	s.t.Helper()
	close(s.done)
	_ = s.listener.Close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Drop()
	s.running.Wait()
	if missing := len(s.source.steps) - s.taken; missing > 0 {
		names := make([]string, 0, missing)
		for _, step := range s.source.steps[s.taken:] {
			names = append(names, step.name)
		}
		s.faults = append(s.faults, fmt.Sprintf("%d of %d steps were never asked for: %v", missing, len(s.source.steps), names))
	}
	for _, fault := range slices.Compact(s.faults) {
		s.t.Errorf("upstream: %s", fault)
	}
}
