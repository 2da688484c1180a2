//go:build e2e

package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// nginx is a provider that logs one line per request.
type nginx struct {
	address string
	log     string
}

// startNginx serves with the directives of a server block; each request is answered with the protocol it came by.
func startNginx(t *testing.T, listen, directives string) *nginx {
	t.Helper()
	dir := t.TempDir()
	n := &nginx{address: e2e.FreeAddr(t), log: filepath.Join(dir, "access.log")}
	must(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, `
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  log_format one '$request_method $uri $http_x_idempotency_key';
  access_log %[1]s/access.log one;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s%[3]s;
    %[4]s
    location / { return 200 "$server_protocol"; }
  }
}`, dir, n.address, listen, directives), 0o600))
	serve(t, n.address, "nginx", "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	return n
}

// lines are the requests nginx has logged.
func (n *nginx) lines(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(n.log)
	must(t, err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key := ca.valid(t, "127.0.0.1")
	old, oldKey := ca.issue(t, "localhost", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	good := startNginx(t, " ssl http2", "ssl_certificate "+cert+"; ssl_certificate_key "+key+";")
	expired := startNginx(t, " ssl", "ssl_certificate "+old+"; ssl_certificate_key "+oldKey+";")
	url := "https://" + good.address
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("good", url, "tls: { ca: file:"+ca.file+" }") +
		e2e.Adapter("unknown-ca", url, "retry: off") +
		e2e.Adapter("other-ca", url, "retry: off", "tls: { ca: file:"+stranger.file+" }") +
		e2e.Adapter("other-name", url, "retry: off", "tls: { ca: file:"+ca.file+", server_name: elsewhere.example }") +
		e2e.Adapter("expired", "https://"+strings.Replace(expired.address, "127.0.0.1", "localhost", 1), "retry: off", "tls: { ca: file:"+ca.file+" }")})
	a := s.Post(t, "/good/orders", `{"order":1}`)
	a.WantStatus(t, 200)
	if a.Body != "HTTP/2.0" {
		t.Errorf("spoke %s with a provider that offers HTTP/2", a.Body)
	}
	for _, name := range []string{"unknown-ca", "other-ca", "other-name", "expired"} {
		s.Get(t, "/"+name+"/a").WantProblem(t, 502, "upstream-unreachable")
		a := s.Post(t, "/"+name+"/a", "{}")
		a.WantProblem(t, 502, "upstream-unreachable")
		if l := s.Letter(t, a.LetterID()); l.Error.Type != "network" {
			t.Errorf("%s: letter type %q, want network: nothing was sent", name, l.Error.Type)
		}
	}
	if lines := good.lines(t); len(lines) != 1 {
		t.Errorf("nginx served %d requests, want the one of the adapter that trusts it: %v", len(lines), lines)
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.valid(t, "127.0.0.1")
	mine, myKey := ca.valid(t, "sidecar")
	n := startNginx(t, " ssl", "ssl_certificate "+cert+"; ssl_certificate_key "+key+"; ssl_client_certificate "+ca.file+"; ssl_verify_client on;")
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("with", "https://"+n.address, "tls: { ca: file:"+ca.file+", cert: file:"+mine+", key: file:"+myKey+" }") +
		e2e.Adapter("without", "https://"+n.address, "tls: { ca: file:"+ca.file+" }")})
	s.Get(t, "/with/a").WantStatus(t, 200)
	if a := s.Get(t, "/without/a"); a.Status != 400 { // nginx's own answer to a client without a certificate
		t.Errorf("without a client certificate: status %d", a.Status)
	}
}

// justClosed is a little longer than the idle time of the providers below, so that a call finds its connection just
// closed. At exactly that time a call and the end of its connection may cross on the wire, and then nobody can tell.
const justClosed = 1020 * time.Millisecond

// Each row is a provider that gets rid of connections in its own way while POSTs go through that may be sent only
// once.
func TestNoPostFailsWhenConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.valid(t, "127.0.0.1")
	secure := "ssl_certificate " + cert + "; ssl_certificate_key " + key + ";"
	for name, c := range map[string]struct {
		scheme, listen, directives string
		calls                      int
		pause                      time.Duration
	}{
		"HTTP/1.1, idle for a second":        {"http", "", "keepalive_timeout 1s;", 40, justClosed},
		"TLS, idle for a second":             {"https", " ssl", secure + "keepalive_timeout 1s;", 40, justClosed},
		"HTTP/2, idle for a second":          {"https", " ssl http2", secure + "keepalive_timeout 1s;", 40, justClosed},
		"HTTP/1.1, ten requests each":        {"http", "", "keepalive_requests 10;", 2000, 0},
		"HTTP/1.1, one request each":         {"http", "", "keepalive_timeout 0;", 1000, 0},
		"TLS, ten requests each":             {"https", " ssl", secure + "keepalive_requests 10;", 1000, 0},
		"HTTP/2, a hundred requests each":    {"https", " ssl http2", secure + "keepalive_requests 100;", 4000, 0},
		"HTTP/2, connections of half second": {"https", " ssl http2", secure + "keepalive_time 500ms;", 4000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNginx(t, c.listen, c.directives)
			s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", c.scheme+"://"+n.address, "tls: { ca: file:"+ca.file+" }")})
			failed := postAll(t, s, c.calls, 8, c.pause)
			if failed > 0 {
				t.Errorf("%d of %d POSTs failed", failed, c.calls)
			}
			keys := map[string]int{}
			for _, line := range n.lines(t) {
				keys[line]++
			}
			for line, count := range keys {
				if count > 1 {
					t.Errorf("nginx served %q %d times", line, count)
				}
			}
			if len(keys) < c.calls-int(failed) {
				t.Errorf("nginx served %d different POSTs of %d", len(keys), c.calls)
			}
		})
	}
}

// postAll makes calls POSTs from several callers, each pausing between its calls, and counts those that failed.
func postAll(t *testing.T, s *e2e.Sidecar, calls, callers int, pause time.Duration) int64 {
	t.Helper()
	var failed, next atomic.Int64
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for n := next.Add(1); n <= int64(calls); n = next.Add(1) {
				a, err := s.Try(t.Context(), "POST", "/sales/orders", fmt.Sprintf(`{"order":%d}`, n), fmt.Sprint("X-Idempotency-Key: key-", n))
				if err != nil || a.Status != 200 {
					if failed.Add(1) == 1 {
						t.Errorf("POST %d failed: status %d %.300q: %v", n, a.Status, a.Body, err)
					}
				}
				e2e.Until(time.Now().Add(pause)) // the idle time is what is tested
			}
		})
	}
	running.Wait()
	return failed.Load()
}
