package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// TLS are the trust and identity used towards an external system. Certificates are always verified; the files are
// followed when they change.
type TLS struct {
	CA         secret.Ref `yaml:"ca" doc:"PEM file of the authorities to trust instead of the system's, as file:/path."`
	Cert       secret.Ref `yaml:"cert" doc:"PEM file of the client certificate, as file:/path."`
	Key        secret.Ref `yaml:"key" doc:"PEM file of the client certificate's key, as file:/path."`
	ServerName string     `yaml:"server_name" doc:"Name the certificate must carry, when it is not the upstream's host."`
	MinVersion string     `yaml:"min_version" default:"1.2" enum:"1.2,1.3" doc:"Least version of TLS that is spoken."`
	Pins       []string   `yaml:"pins" doc:"Public keys (RFC 7469), as sha256/ and 44 characters of base64; one certificate of the verified chain must have one of them. Name a spare key too, or the day the provider changes its own ends all calls."`
}

// Check reports files that do not belong together and pins that are none, at paths below tls.
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
	for _, pin := range t.Pins {
		if _, ok := parsePin(pin); !ok {
			r.Fault("tls.pins", "holds what is not a pin, such as sha256/ and the base64 of the SHA-256 of a public key (44 characters)")
			return
		}
	}
}

// Client builds the client's TLS settings as the files are now. The client certificate is followed when its files
// change; who wants a changed authority followed too uses Follow.
func (t *TLS) Client() (*tls.Config, error) {
	f, err := t.Follow(nil)
	if err != nil {
		return nil, err
	}
	return f.Config(), nil
}

const pinScheme = "sha256/"

func parsePin(text string) (pin [sha256.Size]byte, ok bool) {
	encoded, ok := strings.CutPrefix(text, pinScheme)
	sum, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(sum) != sha256.Size {
		return pin, false
	}
	return [sha256.Size]byte(sum), true
}

// pinOf is the pin of a certificate.
func pinOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return pinScheme + base64.StdEncoding.EncodeToString(sum[:])
}

// unpinned is the error of a chain that was verified and has none of the pins.
type unpinned struct{ chain []string }

func (u *unpinned) Error() string {
	return "no pin matches: the chain has " + strings.Join(u.chain, ", ")
}

// verifyPins is asked after a chain was verified, also when a session is resumed.
func verifyPins(pins []string) func(tls.ConnectionState) error {
	if len(pins) == 0 {
		return nil
	}
	return func(state tls.ConnectionState) error {
		failed := new(unpinned)
		for _, chain := range state.VerifiedChains {
			for _, cert := range chain {
				pin := pinOf(cert)
				if slices.Contains(pins, pin) {
					return nil
				}
				if len(failed.chain) < maxNamed && !slices.Contains(failed.chain, pin) {
					failed.chain = append(failed.chain, pin)
				}
			}
		}
		return failed
	}
}

func filePath(ref secret.Ref) string { return strings.TrimPrefix(string(ref), "file:") }
