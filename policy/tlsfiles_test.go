package policy

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// serialOf is the serial number of the client certificate in use.
func serialOf(t *testing.T, f *TLSFiles) string {
	t.Helper()
	pair, err := f.Config().GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

func TestRenewedFilesAreTakenWhenTheyAreWhole(t *testing.T) {
	p := newPKI(t, "one")
	cert, key := p.issue()
	d := newTLSDir(t, p.pem(), cert, key)
	var said []string
	f, err := d.settings().Follow(func(why error) {
		if why == nil {
			said = append(said, "again")
		} else {
			said = append(said, why.Error())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	first := f.Config()
	if serialOf(t, f) != "2" || f.Config() != first {
		t.Fatal("nothing has changed")
	}
	cert, key = p.issue()
	d.write("cert", cert) // half of a pair
	for range 3 {
		if serialOf(t, f) != "2" || f.Config() != first || f.Failed() == "" {
			t.Error("half a pair was taken")
		}
	}
	d.write("key", key)
	if serialOf(t, f) != "3" || f.Config() == first || f.Failed() != "" {
		t.Error("the whole pair was not taken")
	}
	if len(said) != 2 || !strings.Contains(said[0], "tls.cert and tls.key cannot be used") || said[1] != "again" {
		t.Errorf("said %q", said)
	}
	before := f.Config()
	d.write("ca", newPKI(t, "another").pem())
	if f.Config() == before || f.Config().RootCAs.Equal(before.RootCAs) {
		t.Error("the new authority was not taken")
	}
	before = f.Config()
	bundle := string(newPKI(t, "old").pem()) + string(newPKI(t, "new").pem())
	for _, broken := range []string{"", "no PEM", bundle[:len(bundle)-100], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		d.write("ca", []byte(broken))
		if f.Config() != before || !strings.Contains(f.Failed(), "tls.ca") {
			t.Errorf("an authority of %q: %q", broken, f.Failed())
		}
	}
	if err := os.Remove(filepath.Join(d.dir, "ca")); err != nil {
		t.Fatal(err)
	}
	if f.Config() != before || !strings.Contains(f.Failed(), "cannot be read") {
		t.Errorf("no authority: %q", f.Failed())
	}
}

// A mounted Secret is swapped by its ..data link: the files keep their names, and all change at once.
func TestAMountedSecretIsFollowed(t *testing.T) {
	p, mount := newPKI(t, "one"), t.TempDir()
	swap := func(version string) {
		t.Helper()
		cert, key := p.issue()
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Mkdir(filepath.Join(mount, version), 0o755))
		must(os.WriteFile(filepath.Join(mount, version, "tls.crt"), cert, 0o600))
		must(os.WriteFile(filepath.Join(mount, version, "tls.key"), key, 0o600))
		must(os.Symlink(version, filepath.Join(mount, "..data_tmp")))
		must(os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
	}
	swap("..1")
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := (&TLS{Cert: secret.Ref("file:" + mount + "/tls.crt"), Key: secret.Ref("file:" + mount + "/tls.key")}).Follow(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"3", "4", "5"} {
		swap("..x" + want)
		if got := serialOf(t, f); got != want {
			t.Errorf("swap %d: %s, want %s", i, got, want)
		}
	}
}

// A file system's clock is coarse: a second change within a tick, of the same size, leaves the same mark.
func TestAChangeThatLeavesTheSameMarkIsSeen(t *testing.T) {
	one, two := newPKI(t, "one"), newPKI(t, "two")
	pad := func(b []byte) []byte { return append(b, strings.Repeat("\n", 2000-len(b))...) }
	d := newTLSDir(t, nil, nil, nil)
	at := time.Now()
	write := func(content []byte) {
		t.Helper()
		path := filepath.Join(d.dir, "ca")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(pad(one.pem()))
	f, err := (&TLS{CA: d.ref("ca")}).Follow(nil)
	if err != nil {
		t.Fatal(err)
	}
	before := f.Config()
	write(pad(two.pem()))
	if f.Config() == before {
		t.Error("the second change was missed")
	}
}

func TestWithoutFilesNothingIsFollowed(t *testing.T) {
	for _, settings := range []*TLS{nil, {}, {ServerName: "x", MinVersion: "1.3"}} {
		f, err := settings.Follow(nil)
		c := f.Config()
		if err != nil || f.follows() || c != f.Config() || c.InsecureSkipVerify || c.KeyLogWriter != nil {
			t.Errorf("%+v: %v", settings, err)
		}
	}
}

// A resumed session is not verified again, but its pins are.
func TestPinsAreCheckedWhenASessionIsResumed(t *testing.T) {
	p := newPKI(t, "authority")
	address := strings.TrimPrefix(serveTLS(t, &tls.Config{Certificates: []tls.Certificate{p.pair()}}), "https://")
	sessions := tls.NewLRUClientSessionCache(1)
	connect := func(pins ...string) (resumed bool, err error) {
		t.Helper()
		c, err := (&TLS{CA: pemFile(t, "ca.pem", p.pem()), Pins: pins}).Client()
		if err != nil {
			t.Fatal(err)
		}
		c = c.Clone()
		c.ClientSessionCache = sessions
		conn, err := tls.Dial("tcp", address, c)
		if err != nil {
			return false, err
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		_, _ = conn.Read(make([]byte, 1000)) // the ticket comes before the answer
		return conn.ConnectionState().DidResume, nil
	}
	if _, err := connect(pinOf(p.cert)); err != nil {
		t.Fatal(err)
	}
	if resumed, err := connect(pinOf(p.cert)); err != nil || !resumed {
		t.Errorf("resumed %v, %v", resumed, err)
	}
	if _, err := connect(pinOf(newPKI(t, "another").cert)); err == nil || !strings.Contains(err.Error(), "no pin matches") {
		t.Errorf("a session was resumed past the pins: %v", err)
	}
}
