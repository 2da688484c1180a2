package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestViaIsAddedBothWays(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok", "Via: 1.1 provider-cdn"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	a := s.Get(t, "/sales/a", "Via: 1.0 front")
	a.WantStatus(t, 200)
	sent := viaOf(up.Last(t).Header)
	if len(sent) != 2 || sent[0] != "1.0 front" || !strings.HasPrefix(sent[1], "1.1 ") {
		t.Errorf("Via at the upstream %q, want 1.0 front and then the sidecar's own 1.1 entry", sent)
	}
	returned := viaOf(a.Header)
	if len(returned) != 2 || returned[0] != "1.1 provider-cdn" || !strings.HasPrefix(returned[1], "1.1 ") {
		t.Errorf("Via at the application %q, want 1.1 provider-cdn and then the sidecar's own 1.1 entry", returned)
	}
}

func viaOf(h http.Header) []string {
	var all []string
	for _, line := range h.Values("Via") {
		for entry := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(entry))
		}
	}
	return all
}

// A provider's name may lead back to the sidecar through a load balancer the configuration cannot see through.
func TestLoopIsDetected(t *testing.T) {
	t.Parallel()
	proxy := FreeAddr(t)
	forwarder := newForwarder(t, proxy)
	s := Start(t, Setup{Proxy: proxy, Adapters: Adapter("loop", forwarder.url+"/loop", "retry: off")})
	for i, method := range []string{http.MethodGet, http.MethodPost} {
		a := s.Do(t, method, "/loop/a", "")
		a.WantStatus(t, 508)
		if a.Kind() != "loop-detected" {
			t.Errorf("%s: kind %q, want loop-detected; body %.300q", method, a.Kind(), a.Body)
		}
		if got := forwarder.requests("/loop/a "); got != i+1 {
			t.Errorf("%s: the call went round %d times, want once per call", method, got-i)
		}
	}
}

// forwarder copies bytes between its own port and another, and remembers those that go there.
type forwarder struct {
	url  string
	mu   sync.Mutex
	sent bytes.Buffer
}

func newForwarder(t *testing.T, to string) *forwarder {
	t.Helper()
	f := new(forwarder)
	server := RawUpstream(t, func(c net.Conn, _ int) {
		onward, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer onward.Close()
		go func() {
			_, _ = io.Copy(io.MultiWriter(onward, f), c)
			_ = onward.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(c, onward)
	})
	f.url = server.URL
	return f
}

// Write implements io.Writer.
func (f *forwarder) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent.Write(p)
}

// requests counts how often text, part of a request line, went through.
func (f *forwarder) requests(text string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Count(f.sent.String(), text)
}
