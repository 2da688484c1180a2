package policy

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestCertificatesAreVerified(t *testing.T) {
	good := upstream.TLS(t, upstream.OK("over TLS"))
	ca := pemFile(t, "ca.pem", good.CA())
	other := pemFile(t, "other.pem", upstream.TLS(t).CA())
	for name, c := range map[string]struct {
		tls  *TLS
		code string
	}{
		"the right authority":      {&TLS{CA: ca}, ""},
		"the system's authorities": {nil, "tls_certificate_error"},
		"another authority":        {&TLS{CA: other}, "tls_certificate_error"},
		"another name":             {&TLS{CA: ca, ServerName: "erp.example.com"}, "tls_certificate_error"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, good.URL(), quick(retryOff, func(s *Settings) { s.Host.TLS = c.tls }))
			a := r.call("POST", "/", "{}")
			if c.code == "" {
				if a.err != nil || a.body != "over TLS" {
					t.Errorf("%+v", a)
				}
				return
			}
			p, ok := a.err.(*problem.Problem)
			if !ok || p.Kind != problem.UpstreamUnreachable || p.ProxyError != c.code || a.x.Attempts[0].Sent || a.x.Unknown {
				t.Errorf("%v, sent %v", a.err, a.x.Attempts[0].Sent)
			}
		})
	}
}

func TestAClientCertificateIsShown(t *testing.T) {
	u := upstream.MutualTLS(t, upstream.OK("hello"))
	cert, key := u.ClientCert()
	r := newRig(t, u.URL(), quick(func(s *Settings) {
		s.Host.TLS = &TLS{CA: pemFile(t, "ca.pem", u.CA()), Cert: pemFile(t, "cert.pem", cert), Key: pemFile(t, "key.pem", key)}
	}))
	if a := r.call("GET", "/", ""); a.err != nil || a.body != "hello" {
		t.Errorf("%+v", a)
	}
	if state := u.Request(1).TLS; state == nil || len(state.PeerCertificates) != 1 {
		t.Error("no certificate arrived")
	}
}

func TestPlainTextBehindHTTPSIsATLSError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_ = conn.Close()
	}()
	a := newRig(t, "https://"+listener.Addr().String(), quick(retryOff)).call("POST", "/", "{}")
	_ = listener.Close()
	<-done
	p, ok := a.err.(*problem.Problem)
	if !ok || p.Kind != problem.UpstreamUnreachable || p.ProxyError != "tls_protocol_error" || a.x.Unknown {
		t.Errorf("got %v", a.err)
	}
}

func TestHTTP2IsSpokenWhereOffered(t *testing.T) {
	u := upstream.H2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Proto", r.Proto)
		w.Header().Set("X-Key", r.Header.Get("X-Idempotency-Key"))
		if r.URL.Path == "/fail" {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(append([]byte(r.RequestURI+" "), body...))
	}))
	r := newRig(t, u.URL()+"/base", quick(breakerOff, func(s *Settings) { s.Host.TLS = &TLS{CA: pemFile(t, "ca.pem", u.CA())} }))
	a := r.call("POST", "/a%2Fb?q=%20", "data", "Idempotency-Key", "k")
	if a.err != nil || a.body != "/base/a%2Fb?q=%20 data" || a.fields.Get("X-Proto") != "HTTP/2.0" || a.fields.Get("X-Key") != "k" {
		t.Errorf("%+v", a)
	}
	before := u.Hits()
	for _, body := range []string{"", "data"} {
		a := newRig(t, u.URL(), quick(retryOff, func(s *Settings) { s.Host.TLS = &TLS{CA: pemFile(t, "ca.pem", u.CA())} })).call("POST", "/fail", body, "Idempotency-Key", "k")
		if a.err == nil || !a.x.Unknown || len(a.x.Attempts) != 1 {
			t.Errorf("an aborted stream: %+v", a)
		}
	}
	if n := u.Hits() - before; n != 2 {
		t.Errorf("two writes arrived %d times", n)
	}
}
