package upstream

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// H2Server is an upstream that speaks HTTP/2 (and HTTP/1.1, by ALPN) over TLS, played by net/http.
type H2Server struct {
	server *httptest.Server
	pki    *authority
	hits   atomic.Int64
}

// H2 starts an HTTP/2 upstream on handler. It ends with the test: handlers that wait must watch the request's context.
func H2(t testing.TB, handler http.Handler) *H2Server {
	t.Helper()
	h := &H2Server{pki: newAuthority(t)}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.hits.Add(1)
		handler.ServeHTTP(w, r)
	}))
	h.server.EnableHTTP2 = true
	h.server.TLS = h.pki.serverConfig(t)
	h.server.StartTLS()
	t.Cleanup(func() {
		h.server.CloseClientConnections()
		h.server.Close()
	})
	return h
}

// URL is the base URL, without a trailing slash.
func (h *H2Server) URL() string { return h.server.URL }

// CA returns the certificate of the server's authority in PEM.
func (h *H2Server) CA() []byte { return h.pki.pem() }

// Hits counts the requests that arrived.
func (h *H2Server) Hits() int { return int(h.hits.Load()) }
