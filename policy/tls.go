package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// TLS are the trust and identity used towards the external system. TLS 1.2 is the least version spoken.
type TLS struct {
	CA         secret.Ref `yaml:"ca" doc:"PEM file of the authorities to trust instead of the system's, as file:/path."`
	Cert       secret.Ref `yaml:"cert" doc:"PEM file of the client certificate, as file:/path."`
	Key        secret.Ref `yaml:"key" doc:"PEM file of the client certificate's key, as file:/path."`
	ServerName string     `yaml:"server_name" doc:"Name the certificate must carry, when it is not the upstream's host."`
}

// Check reports files that do not belong together, at paths below tls.
func (t *TLS) Check(r Report) {
	if (t.Cert == "") != (t.Key == "") {
		r.Fault("tls", "cert and key belong together; only one is set")
	}
	for _, f := range []struct {
		path string
		ref  secret.Ref
	}{{"tls.ca", t.CA}, {"tls.cert", t.Cert}, {"tls.key", t.Key}} {
		if f.ref != "" && f.ref.Scheme() != "file" {
			r.Fault(f.path, "is read from a file; write file:/path")
		}
	}
}

// Client builds the client's TLS settings. TLS 1.2 is the least version; certificates are always verified.
func (t *TLS) Client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return c, nil
	}
	c.ServerName = t.ServerName
	if t.CA != "" {
		pem, err := os.ReadFile(filePath(t.CA))
		if err != nil {
			return nil, fmt.Errorf("tls.ca cannot be read: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls.ca holds no PEM certificate")
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(filePath(t.Cert), filePath(t.Key))
		if err != nil {
			return nil, fmt.Errorf("tls.cert and tls.key cannot be used: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// digest changes when a file does: a reload then takes the new one, although the configuration names the same path.
func (t *TLS) digest() (sum [sha256.Size]byte) {
	if t == nil {
		return sum
	}
	h := sha256.New()
	for _, ref := range []secret.Ref{t.CA, t.Cert, t.Key} {
		content, err := os.ReadFile(filePath(ref)) // one that cannot be read is config's to report
		fmt.Fprintf(h, "%s %d %v ", ref, len(content), err != nil)
		h.Write(content)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func filePath(ref secret.Ref) string { return strings.TrimPrefix(string(ref), "file:") }
