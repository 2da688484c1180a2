package policy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// tlsError is why TLS with an external system failed: which check, and of which host.
type tlsError struct {
	certificate bool   // of its certificate; else of the handshake
	said        string // to the operator, in the log and the status
	told        string // to the application, which must not learn what certificates and files there are
	err         error
}

func (e *tlsError) Error() string { return e.said }
func (e *tlsError) Unwrap() error { return e.err }

// tlsParty is what the errors of one connection's TLS are about.
type tlsParty struct {
	host     string // the name that is verified
	settings TLS
}

func newTLSParty(hostname string, t *TLS) tlsParty {
	p := tlsParty{host: hostname}
	if t != nil {
		p.settings = *t
	}
	if p.settings.ServerName != "" {
		p.host = p.settings.ServerName
	}
	return p
}

// explain puts an error of TLS into words; any other it returns as it is.
func (p tlsParty) explain(err error) error {
	e := p.words(err)
	if e == nil {
		return err
	}
	e.err = err
	if e.told == "" {
		e.told = "The TLS handshake with " + p.host + " failed."
	}
	return e
}

func (p tlsParty) words(err error) *tlsError {
	if failed := (*unpinned)(nil); errors.As(err, &failed) {
		return p.certificate(failed.Error(), "matches no pinned key")
	}
	if failed := (*tls.CertificateVerificationError)(nil); errors.As(err, &failed) {
		return p.unverified(failed)
	}
	if record := (tls.RecordHeaderError{}); errors.As(err, &record) {
		return &tlsError{said: p.host + " does not speak TLS: " + clean(record.Msg), told: p.host + " does not speak TLS."}
	}
	text := tlsText(err)
	switch version, old := strings.CutPrefix(text, selectedVersion); {
	case text == "":
		return nil
	case old:
		return p.version("offers only " + versionName(version))
	case text == alertPrefix+"protocol version not supported":
		return p.version("offers no version of TLS that is allowed here")
	case strings.HasPrefix(text, alertPrefix):
		return p.alert(strings.TrimPrefix(text, alertPrefix))
	case text == handshakeTimeout:
		return &tlsError{said: "the TLS handshake with " + p.host + " did not end in time", told: "The TLS handshake with " + p.host + " did not end in time."}
	}
	return &tlsError{said: "the TLS handshake with " + p.host + " failed: " + clean(strings.TrimPrefix(text, "tls: "))}
}

// How crypto/tls and net/http begin the texts of errors that have no type. What the other side sent stands behind.
const (
	alertPrefix      = "remote error: tls: "
	selectedVersion  = "tls: server selected unsupported protocol version "
	handshakeTimeout = "net/http: TLS handshake timeout"
)

// tlsText is the text of the error of TLS in a chain of errors; "" when there is none. Only its beginning counts: other
// errors quote what the external system sent.
func tlsText(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if strings.HasPrefix(text, "tls: ") || strings.HasPrefix(text, alertPrefix) || strings.HasPrefix(text, "local error: tls: ") || text == handshakeTimeout {
			return text
		}
	}
	return ""
}

func (p tlsParty) certificate(said, told string) *tlsError {
	return &tlsError{certificate: true, said: "certificate of " + p.host + ": " + said, told: "The TLS certificate of " + p.host + " " + told + "."}
}

// unverified says which check a certificate did not pass.
func (p tlsParty) unverified(failed *tls.CertificateVerificationError) *tlsError {
	if e := (x509.HostnameError{}); errors.As(failed, &e) {
		return p.certificate("is for other names ("+names(e.Certificate)+")", "is for other names")
	}
	if e := (x509.UnknownAuthorityError{}); errors.As(failed, &e) {
		trusted := "the system's authorities"
		if p.settings.CA != "" {
			trusted = "ca: " + clean(string(p.settings.CA))
		}
		issuer := ""
		if e.Cert != nil {
			issuer = ", " + clean(e.Cert.Issuer.CommonName)
		}
		return p.certificate("is signed by an unknown authority"+issuer+" ("+trusted+")", "is not signed by a trusted authority")
	}
	if e := (x509.CertificateInvalidError{}); errors.As(failed, &e) && e.Reason == x509.Expired && e.Cert != nil {
		return p.outOfTime(e.Cert)
	}
	return p.certificate("is not valid: "+clean(failed.Err.Error()), "is not valid")
}

func (p tlsParty) outOfTime(c *x509.Certificate) *tlsError {
	whose := ""
	if c.IsCA {
		whose = "its authority " + clean(c.Subject.CommonName) + " "
	}
	if time.Now().Before(c.NotBefore) {
		return p.certificate(whose+"is not valid before "+c.NotBefore.UTC().Format(time.RFC3339), "is not valid yet")
	}
	return p.certificate(whose+"expired on "+c.NotAfter.UTC().Format(time.RFC3339), "has expired")
}

func (p tlsParty) version(said string) *tlsError {
	least := p.settings.MinVersion
	if least == "" {
		least = "1.2"
	}
	return &tlsError{said: p.host + " " + said + " (min_version: " + least + ")", told: p.host + " offers no version of TLS that is allowed here."}
}

// versionName is the name of a version as crypto/tls writes it in its error: in hexadecimal.
func versionName(hex string) string {
	n, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 16)
	if err != nil {
		return "another version of TLS"
	}
	return tls.VersionName(uint16(n))
}

// aboutOurs are the alerts by which a server refuses the client's certificate, or that there is none. It sends them
// before it has read any request: the handshake is not over on its side.
var aboutOurs = map[string]bool{"bad certificate": true, "unsupported certificate": true, "revoked certificate": true, "expired certificate": true,
	"unknown certificate": true, "unknown certificate authority": true, "certificate required": true}

// alert says what the other side ended the handshake with. Its words are a fixed list of crypto/tls.
func (p tlsParty) alert(what string) *tlsError {
	switch {
	case aboutOurs[what] && p.settings.Cert == "":
		return &tlsError{said: p.host + " asks for a client certificate, and tls.cert is not set (" + what + ")",
			told: p.host + " asks for a client certificate, and this adapter has none."}
	case aboutOurs[what]:
		return &tlsError{said: p.host + " asked for a client certificate and refused ours (" + what + ")",
			told: p.host + " refused the client certificate of this adapter."}
	case what == "unrecognized name":
		return &tlsError{said: p.host + " does not know itself by this name (server_name)"}
	case what == "handshake failure" && p.settings.Cert == "":
		what += "; it may want a client certificate (tls.cert is not set)"
	}
	return &tlsError{said: p.host + " ended the TLS handshake: " + what}
}

// refusesOurs reports an alert about the client's certificate.
func refusesOurs(err error) bool {
	what, ok := strings.CutPrefix(tlsText(err), alertPrefix)
	return ok && aboutOurs[what]
}

const (
	maxNamed = 5  // names or keys of a certificate that are told
	maxName  = 64 // characters of each
)

// names are those a certificate is for.
func names(c *x509.Certificate) string {
	if c == nil {
		return "none"
	}
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, net.IP(ip).String())
	}
	var list []string
	for _, name := range all[:min(len(all), maxNamed)] {
		list = append(list, clean(name))
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > maxNamed:
		list = append(list, fmt.Sprintf("%d more", len(all)-maxNamed))
	}
	return strings.Join(list, ", ")
}

// clean makes text of a stranger's certificate fit for a log line and a status page: short, and nothing that is markup, a
// quote or a control character.
func clean(text string) string {
	out := make([]rune, 0, maxName)
	for _, c := range text {
		if len(out) == maxName {
			return string(out) + "..."
		}
		if c < ' ' || c > '~' || strings.ContainsRune("\"'`<>&\\", c) {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}
