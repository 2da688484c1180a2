package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// TLS is Script over TLS 1.2 or 1.3, HTTP/1.1 only, with a certificate for 127.0.0.1 and localhost from an authority
// of its own, which CA returns.
func TLS(t testing.TB, steps ...Step) *Server {
	t.Helper()
	return startTLS(t, tls.NoClientCert, steps)
}

// MutualTLS is TLS that also demands a client certificate from the same authority; ClientCert issues one.
func MutualTLS(t testing.TB, steps ...Step) *Server {
	t.Helper()
	return startTLS(t, tls.RequireAndVerifyClientCert, steps)
}

// CA returns the certificate of the server's authority in PEM.
func (s *Server) CA() []byte { return s.pki.pem() }

// ClientCert issues a certificate for a client and returns it and its key in PEM.
func (s *Server) ClientCert() (cert, key []byte) {
	s.t.Helper()
	return s.pki.issue(s.t)
}

func startTLS(t testing.TB, auth tls.ClientAuthType, steps []Step) *Server {
	t.Helper()
	pki := newAuthority(t)
	config := pki.serverConfig(t)
	config.ClientAuth, config.NextProtos = auth, []string{"http/1.1"}
	return start(&Server{t: t, listener: listen(t), scheme: "https", source: source{steps: steps}, tls: config, pki: pki})
}

// authority is a certificate authority that lives as long as its test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t)
	template := certificate("Upstream test authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatalf("upstream: sign authority: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("upstream: parse authority: %v", err)
	}
	return &authority{cert: cert, key: key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) serverConfig(t testing.TB) *tls.Config {
	t.Helper()
	cert, key := a.issue(t)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatalf("upstream: load certificate: %v", err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, MinVersion: tls.VersionTLS12}
}

// issue signs a certificate that serves for a server on loopback and for a client alike.
func (a *authority) issue(t testing.TB) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	template := certificate("localhost")
	template.DNSNames, template.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatalf("upstream: sign certificate: %v", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatalf("upstream: encode key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("upstream: generate key: %v", err)
	}
	return key
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
}
