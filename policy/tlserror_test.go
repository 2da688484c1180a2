package policy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
)

func named(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, nil }
}

func valid(from, until time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until) }
}

// Each way TLS fails is told apart: to the operator with what to look at, to the application with the check and the host.
func TestWhichCheckOfTLSFailed(t *testing.T) {
	ours, theirs := newPKI(t, "our authority"), newPKI(t, "their authority")
	old := newPKI(t, "old authority", valid(-2*time.Hour, -time.Hour))
	good := ours.pair()
	cert, key := ours.issue()
	strange, strangeKey := theirs.issue()
	server := func(pair tls.Certificate, edits ...func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{pair}}
		for _, edit := range edits {
			edit(c)
		}
		return c
	}
	mutual := func(least uint16) func(*tls.Config) {
		return func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs, c.MinVersion, c.MaxVersion = tls.RequireAndVerifyClientCert, ours.pool(), least, least
		}
	}
	atMost := func(v uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, v }
	}
	anchor := TLS{CA: pemFile(t, "ca.pem", ours.pem())}
	with := func(edit func(*TLS)) *TLS { s := anchor; edit(&s); return &s }
	for name, c := range map[string]struct {
		server     *tls.Config
		client     *TLS
		code       string
		said, told string
	}{
		"other names": {server(ours.pair(named("a.example", "b.example"))), &anchor, "tls_certificate_error",
			"certificate of 127.0.0.1: is for other names (a.example, b.example)", "The TLS certificate of 127.0.0.1 is for other names."},
		"another name asked for": {server(good), with(func(s *TLS) { s.ServerName = "sales.example.com" }), "tls_certificate_error",
			"certificate of sales.example.com: is for other names (127.0.0.1)", "The TLS certificate of sales.example.com is for other names."},
		"no names": {server(ours.pair(named())), &anchor, "tls_certificate_error", "is for other names (none)", ""},
		"an unknown authority": {server(theirs.pair()), &anchor, "tls_certificate_error",
			"is signed by an unknown authority, their authority (ca: file:", "The TLS certificate of 127.0.0.1 is not signed by a trusted authority."},
		"not the system's": {server(good), nil, "tls_certificate_error", "unknown authority, our authority (the system's authorities)", ""},
		"expired": {server(ours.pair(valid(-2*time.Hour, -time.Hour))), &anchor, "tls_certificate_error",
			"certificate of 127.0.0.1: expired on 20", "The TLS certificate of 127.0.0.1 has expired."},
		"not yet valid": {server(ours.pair(valid(time.Hour, 2*time.Hour))), &anchor, "tls_certificate_error",
			"is not valid before 20", "The TLS certificate of 127.0.0.1 is not valid yet."},
		"an expired authority": {server(old.pair()), &TLS{CA: pemFile(t, "old.pem", old.pem())}, "tls_certificate_error",
			"its authority old authority expired on", ""},
		"not for servers": {server(ours.pair(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), &anchor,
			"tls_certificate_error", "is not valid: x509: certificate specifies an incompatible key usage", "The TLS certificate of 127.0.0.1 is not valid."},
		"no pin": {server(good), with(func(s *TLS) { s.Pins = []string{pinOf(theirs.cert)} }), "tls_certificate_error",
			"no pin matches: the chain has " + pinOf(good.Leaf) + ", " + pinOf(ours.cert), "The TLS certificate of 127.0.0.1 matches no pinned key."},
		"only TLS 1.0":  {server(good, atMost(tls.VersionTLS10)), &anchor, "tls_protocol_error", "127.0.0.1 offers no version of TLS", "127.0.0.1 offers no version of TLS that is allowed here."},
		"only TLS 1.2":  {server(good, atMost(tls.VersionTLS12)), with(func(s *TLS) { s.MinVersion = "1.3" }), "tls_protocol_error", "(min_version: 1.3)", ""},
		"none of ours":  {server(good, mutual(tls.VersionTLS13)), &anchor, "tls_protocol_error", "127.0.0.1 asks for a client certificate, and tls.cert is not set", "127.0.0.1 asks for a client certificate, and this adapter has none."},
		"none, TLS 1.2": {server(good, mutual(tls.VersionTLS12)), &anchor, "tls_protocol_error", "ended the TLS handshake: handshake failure; it may want a client certificate", ""},
		"ours refused": {server(good, mutual(tls.VersionTLS13)), with(func(s *TLS) { s.Cert, s.Key = pemFile(t, "c", strange), pemFile(t, "k", strangeKey) }), "tls_protocol_error",
			"127.0.0.1 asked for a client certificate and refused ours (unknown certificate authority)", "127.0.0.1 refused the client certificate of this adapter."},
		"all is well":      {server(good, mutual(tls.VersionTLS13)), with(func(s *TLS) { s.Cert, s.Key = pemFile(t, "c", cert), pemFile(t, "k", key) }), "", "", ""},
		"pinned authority": {server(good), with(func(s *TLS) { s.Pins = []string{pinOf(theirs.cert), pinOf(ours.cert)} }), "", "", ""},
		"pinned leaf":      {server(good), with(func(s *TLS) { s.Pins = []string{pinOf(good.Leaf)} }), "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, serveTLS(t, c.server), quick(retryOff, func(s *Settings) { s.Host.TLS = c.client }))
			a := r.call("POST", "/", "{}")
			if c.code == "" {
				if a.err != nil {
					t.Errorf("%v", a.err)
				}
				return
			}
			p, ok := a.err.(*problem.Problem)
			if !ok || p.Kind != problem.UpstreamUnreachable || p.ProxyError != c.code || !p.Retryable() {
				t.Fatalf("%v", a.err)
			}
			if a.x.Unknown || a.x.Attempts[0].Sent {
				t.Error("the call is told to have been sent: the handshake was not over")
			}
			if !strings.Contains(p.Error(), c.said) || !strings.Contains(r.host.LastFailure(), c.said) || !strings.Contains(p.Detail, c.told) {
				t.Errorf("to the log: %s\nto the status: %s\nto the application: %s", p, r.host.LastFailure(), p.Detail)
			}
			if strings.Contains(p.Detail, "file:") || strings.Contains(p.Detail, "sha256") || strings.Contains(p.Detail, "authority, ") {
				t.Errorf("the application is told too much: %s", p.Detail)
			}
		})
	}
}

// What stands in a certificate is a stranger's text, and goes to a log and a status page.
func TestNamesInACertificateAreBoundedAndPlain(t *testing.T) {
	p := newPKI(t, "evil <script>\n\x1b[31m\" {level:error} "+strings.Repeat("x", 500))
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("n%d.example", i))
	}
	many[0] = strings.Repeat("a.", 300) + "example"
	cert := p.pair(named(many...)).Leaf
	party := newTLSParty("erp.example.com", &TLS{})
	for _, err := range []error{x509.HostnameError{Certificate: cert, Host: "x"}, x509.UnknownAuthorityError{Cert: cert},
		x509.CertificateInvalidError{Cert: p.cert, Reason: x509.Expired}, x509.CertificateInvalidError{Cert: cert, Reason: x509.NameMismatch, Detail: "\"\n<b>" + strings.Repeat("y", 1000)}} {
		text := party.explain(&tls.CertificateVerificationError{Err: err}).Error()
		if len(text) > 600 || strings.ContainsAny(text, "\n\x1b\"<>") {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
	if text := names(cert); !strings.HasSuffix(text, "n4.example, 95 more") {
		t.Errorf("%q", text)
	}
}

// An answer of the external system that looks like an error of TLS is none.
func TestOnlyTheBeginningOfAnErrorMakesItOneOfTLS(t *testing.T) {
	party := newTLSParty("erp.example.com", nil)
	for _, err := range []error{fmt.Errorf("malformed HTTP response %q", "tls: x"), fmt.Errorf("net/http: remote error: tls: bad certificate"), net.ErrClosed} {
		if party.explain(err) != err || describeTLS(err) != nil || refusesOurs(err) {
			t.Errorf("%v", err)
		}
	}
	for text, want := range map[string]string{
		"tls: server selected unsupported protocol version 301": "erp.example.com offers only TLS 1.0 (min_version: 1.2)",
		"tls: server selected unsupported protocol version zz":  "offers only another version of TLS",
		"remote error: tls: unrecognized name":                  "does not know itself by this name",
		"remote error: tls: handshake failure":                  "ended the TLS handshake: handshake failure",
		"net/http: TLS handshake timeout":                       "did not end in time",
		"local error: tls: bad record MAC":                      "the TLS handshake with erp.example.com failed",
	} {
		if got := party.explain(fmt.Errorf("%s", text)).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestAHandshakeThatTakesTooLong(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // its backlog takes the connection, and nobody answers
	r := newRig(t, "https://"+listener.Addr().String(), quick(retryOff, func(s *Settings) { s.Timeout.Connect = units.Duration(50 * time.Millisecond) }))
	p, ok := r.call("POST", "/", "{}").err.(*problem.Problem)
	if !ok || p.ProxyError != "tls_protocol_error" || !strings.Contains(p.Detail, "did not end in time") {
		t.Errorf("%v", p)
	}
}
