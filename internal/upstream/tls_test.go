package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestTLS(t *testing.T) {
	u := upstream.TLS(t, upstream.OK("secret"), upstream.Reset())
	if _, _, err := get(t, newClient(t, nil), u.URL()); err == nil {
		t.Error("an unknown authority was trusted")
	}
	c := newClient(t, &tls.Config{RootCAs: pool(u.CA())})
	if _, body, err := get(t, c, u.URL()); body != "secret" || err != nil {
		t.Errorf("%q %v", body, err)
	}
	if u.Request(1).TLS == nil {
		t.Error("no TLS state")
	}
	res, err := c.Post(u.URL(), "text/plain", strings.NewReader("x")) // a GET would be sent again by the transport itself
	if err == nil {
		res.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
}

func TestMutualTLS(t *testing.T) {
	u := upstream.MutualTLS(t, upstream.OK("both"))
	if _, _, err := get(t, newClient(t, &tls.Config{RootCAs: pool(u.CA())}), u.URL()); err == nil {
		t.Error("no client certificate was asked for")
	}
	pair, err := tls.X509KeyPair(u.ClientCert())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, &tls.Config{RootCAs: pool(u.CA()), Certificates: []tls.Certificate{pair}})
	if _, body, err := get(t, c, u.URL()); body != "both" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}

func TestH2(t *testing.T) {
	u := upstream.H2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	c := newClient(t, &tls.Config{RootCAs: pool(u.CA())})
	if _, body, err := get(t, c, u.URL()); body != "HTTP/2.0" || err != nil || u.Hits() != 1 {
		t.Errorf("%q %v", body, err)
	}
}

func pool(ca []byte) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(ca)
	return p
}
