package policy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// TLSFiles follow the files of a TLS block: a renewed certificate or authority is taken without being told, as soon as
// its files are whole. Until then, and when they never are, those that were read last stay in use.
type TLSFiles struct {
	settings *TLS
	kept     func(why error) // told, with the lock held, when changed files cannot be used, and with nil when they can again

	mu      sync.Mutex
	marks   [tlsFiles]os.FileInfo // of the files when they were read; nil of one that is not there
	settled bool                  // a change after marks would show in them
	sum     [sha256.Size]byte
	pair    *tls.Certificate
	config  *tls.Config
	failed  string
}

const tlsFiles = 3 // authority, certificate, key

// settling is how long after its last change a file may change again within the same mark: the clock of a file system
// is coarse.
const settling = 2 * time.Second

// Follow reads the files and returns what follows them. kept may be nil.
func (t *TLS) Follow(kept func(why error)) (*TLSFiles, error) {
	if t == nil {
		t = new(TLS)
	}
	if kept == nil {
		kept = func(error) {}
	}
	f := &TLSFiles{settings: t, kept: kept}
	return f, f.read()
}

// follows reports whether there is a file to follow.
func (f *TLSFiles) follows() bool { return f.settings.CA != "" || f.settings.Cert != "" }

// Config returns the client's settings of now: the same as before while no file has changed. It must not be altered.
func (f *TLSFiles) Config() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.config
}

// digest changes when what was read does.
func (f *TLSFiles) digest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return hex.EncodeToString(f.sum[:])
}

// Failed says why the files as they are now are not used; "" when they are.
func (f *TLSFiles) Failed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// look reads the files again if they may have changed.
func (f *TLSFiles) look() {
	if !f.follows() || f.settled && f.unmoved() {
		return
	}
	switch err := f.read(); {
	case err == nil && f.failed != "":
		f.failed = ""
		f.kept(nil)
	case err != nil && err.Error() != f.failed:
		f.failed = err.Error()
		f.kept(err)
	}
}

func (f *TLSFiles) refs() [tlsFiles]secret.Ref {
	return [tlsFiles]secret.Ref{f.settings.CA, f.settings.Cert, f.settings.Key}
}

// mark is nil for a file that is not there or not named.
func mark(ref secret.Ref) os.FileInfo {
	if ref == "" {
		return nil
	}
	info, err := os.Stat(filePath(ref)) // follows the links of a mounted Secret
	if err != nil {
		return nil
	}
	return info
}

func (f *TLSFiles) unmoved() bool {
	for i, ref := range f.refs() {
		now, then := mark(ref), f.marks[i]
		if (now == nil) != (then == nil) {
			return false
		}
		if now != nil && (!os.SameFile(now, then) || now.Size() != then.Size() || !now.ModTime().Equal(then.ModTime())) {
			return false
		}
	}
	return true
}

// read takes the files if they can be used together. The marks are taken before: a change meanwhile is seen next time.
func (f *TLSFiles) read() error {
	f.settled = true
	for i, ref := range f.refs() {
		f.marks[i] = mark(ref)
		if f.marks[i] != nil && time.Since(f.marks[i].ModTime()) < settling {
			f.settled = false
		}
	}
	content, err := f.contents()
	if err != nil {
		return err
	}
	h := sha256.New()
	for _, c := range content {
		fmt.Fprintf(h, "%d ", len(c))
		h.Write(c)
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	if f.config != nil && sum == f.sum {
		return nil
	}
	roots, pair, err := parseTLSFiles(content)
	if err != nil {
		return err
	}
	f.sum, f.pair, f.config = sum, pair, f.newConfig(roots, pair)
	return nil
}

func (f *TLSFiles) contents() (content [tlsFiles][]byte, err error) {
	for i, ref := range f.refs() {
		if ref == "" {
			continue
		}
		if content[i], err = os.ReadFile(filePath(ref)); err != nil {
			return content, fmt.Errorf("tls.%s cannot be read: %w", [tlsFiles]string{"ca", "cert", "key"}[i], err)
		}
	}
	return content, nil
}

// parseTLSFiles makes of the files what TLS needs; what is not configured is nil.
func parseTLSFiles(content [tlsFiles][]byte) (*x509.CertPool, *tls.Certificate, error) {
	ca, cert, key := content[0], content[1], content[2]
	var roots *x509.CertPool
	if ca != nil {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(ca) {
			return nil, nil, errors.New("tls.ca holds no PEM certificate")
		}
		if bytes.Count(ca, []byte("-----BEGIN ")) != bytes.Count(ca, []byte("-----END ")) {
			return nil, nil, errors.New("tls.ca ends within a certificate") // its first authorities alone would refuse the others' hosts
		}
	}
	if cert == nil {
		return roots, nil, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, nil, fmt.Errorf("tls.cert and tls.key cannot be used: %w", err)
	}
	return roots, &pair, nil
}

func (f *TLSFiles) newConfig(roots *x509.CertPool, pair *tls.Certificate) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.settings.ServerName, RootCAs: roots, VerifyConnection: verifyPins(f.settings.Pins)}
	if f.settings.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if pair != nil {
		c.GetClientCertificate = f.present
	}
	return c
}

// present is asked for the client certificate of each new connection.
func (f *TLSFiles) present(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.pair, nil
}
