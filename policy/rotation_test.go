package policy

import (
	"crypto/tls"
	"fmt"
	"sync"
	"testing"
)

// rotated is a server that takes client certificates of one authority, and its own certificate from a function.
func rotated(t *testing.T, p *pki, own func() tls.Certificate, protocols ...string) string {
	c := &tls.Config{Certificates: []tls.Certificate{own()}, NextProtos: protocols}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.pool(), Certificates: []tls.Certificate{own()}, NextProtos: protocols}, nil
	}
	return serveTLS(t, c)
}

// No call fails while the client's certificate is renewed, and afterwards no connection shows the old one.
func TestRenewingTheClientCertificateFailsNoCall(t *testing.T) {
	for name, protocol := range map[string]string{"HTTP/1.1": "http/1.1", "HTTP/2": "h2"} {
		t.Run(name, func(t *testing.T) {
			p := newPKI(t, "authority")
			own := p.pair()
			url := rotated(t, p, func() tls.Certificate { return own }, protocol)
			cert, key := p.issue()
			d := newTLSDir(t, p.pem(), cert, key)
			r := newRig(t, url, quick(retryOff, breakerOff, func(s *Settings) { s.Host.TLS = d.settings() }))
			stop := make(chan struct{})
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if a := r.call("POST", "/", "{}"); a.err != nil || a.status != 200 {
							t.Errorf("%d %v", a.status, a.err)
							return
						}
					}
				})
			}
			for serial := 4; serial < 14; serial++ {
				cert, key := p.issue()
				d.write("cert", cert)
				d.write("key", key)
				r.host.engine.looked.Store(0) // as if a second had passed
				before := r.host.engine.line.Load()
				for n := 0; r.host.engine.line.Load() == before && n < 1000; n++ {
					r.call("GET", "/", "")
				}
				if a := r.call("GET", "/", ""); a.body != fmt.Sprint(serial) {
					t.Errorf("certificate %s was shown, want %d", a.body, serial)
				}
			}
			close(stop)
			callers.Wait()
		})
	}
}

// A new authority counts for new connections, and those made under the old one are not used again.
func TestAChangedAuthorityCountsForNewConnections(t *testing.T) {
	one, two := newPKI(t, "one"), newPKI(t, "two")
	var mu sync.Mutex
	own := one.pair()
	url := rotated(t, one, func() tls.Certificate { mu.Lock(); defer mu.Unlock(); return own }, "http/1.1")
	cert, key := one.issue()
	d := newTLSDir(t, one.pem(), cert, key)
	r := newRig(t, url, quick(retryOff, breakerOff, func(s *Settings) { s.Host.TLS = d.settings() }))
	calls := func(want bool, when string) {
		t.Helper()
		r.host.engine.looked.Store(0)
		if a := r.call("GET", "/", ""); (a.err == nil) != want {
			t.Errorf("%s: %v", when, a.err)
		}
	}
	calls(true, "at first")
	d.write("ca", two.pem())
	calls(false, "the server's authority is not trusted any more")
	d.write("ca", append(one.pem(), two.pem()...))
	calls(true, "both are trusted")
	mu.Lock()
	own = two.pair()
	mu.Unlock()
	d.write("ca", two.pem())
	calls(true, "the server has moved")
}

// An engine that is given up makes no new connections for calls that are still under way.
func TestAClosedEngineFollowsNothing(t *testing.T) {
	d := newTLSDir(t, newPKI(t, "one").pem(), nil, nil)
	h := testHost(t, "https://erp.test", func() *Settings { s := testSettings(); s.Host.TLS = &TLS{CA: d.ref("ca")}; return s }())
	h.engine.close()
	before := h.engine.line.Load()
	d.write("ca", newPKI(t, "two").pem())
	h.engine.looked.Store(0)
	if h.engine.current() != before {
		t.Error("it followed its files")
	}
}
