package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// pki is an authority of one test.
type pki struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newPKI(t testing.TB, name string, edits ...func(*x509.Certificate)) *pki {
	p := &pki{t: t, next: 1}
	template := p.template(append(edits, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = name, true, true, x509.KeyUsageCertSign
	}))
	p.key = newTestKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// template is valid for an hour, for 127.0.0.1 and for server and client alike, before the edits.
func (p *pki) template(edits []func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{SerialNumber: big.NewInt(p.next), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	p.next++
	for _, edit := range edits {
		edit(c)
	}
	return c
}

// issue returns a certificate and its key, in PEM.
func (p *pki) issue(edits ...func(*x509.Certificate)) (cert, key []byte) {
	k := newTestKey(p.t)
	der, err := x509.CreateCertificate(rand.Reader, p.template(edits), p.cert, k.Public(), p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		p.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func (p *pki) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.cert)
	return pool
}

// pair is an issued certificate as a server uses it.
func (p *pki) pair(edits ...func(*x509.Certificate)) tls.Certificate {
	pair, err := tls.X509KeyPair(p.issue(edits...))
	if err != nil {
		p.t.Fatal(err)
	}
	return pair
}

// serveTLS answers every request with the serial number of the client's certificate, and returns its URL.
func serveTLS(t testing.TB, c *tls.Config) string {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			_, _ = io.WriteString(w, certs[0].SerialNumber.String())
		}
	}))
	server.TLS, server.Config.ErrorLog = c, log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// tlsDir is a folder of the three files of a TLS block.
type tlsDir struct {
	t   testing.TB
	dir string
}

func newTLSDir(t testing.TB, ca, cert, key []byte) tlsDir {
	d := tlsDir{t, t.TempDir()}
	d.write("ca", ca)
	d.write("cert", cert)
	d.write("key", key)
	return d
}

// write replaces a file at once, as a careful writer does.
func (d tlsDir) write(name string, content []byte) {
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path+".next", content, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		d.t.Fatal(err)
	}
}

func (d tlsDir) ref(name string) secret.Ref { return secret.Ref("file:" + filepath.Join(d.dir, name)) }

func (d tlsDir) settings() *TLS {
	return &TLS{CA: d.ref("ca"), Cert: d.ref("cert"), Key: d.ref("key")}
}
