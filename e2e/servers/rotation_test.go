//go:build e2e

package servers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// mount is a Secret as the kubelet mounts it: links to ..data, which is swapped at once.
type mount struct {
	dir     string
	version int
}

// swap replaces all files at once.
func (m *mount) swap(t *testing.T, files map[string][]byte) {
	t.Helper()
	m.version++
	version := fmt.Sprintf("..%d", m.version)
	must(t, os.Mkdir(filepath.Join(m.dir, version), 0o700))
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(m.dir, version, name), content, 0o600))
		if m.version == 1 {
			must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
		}
	}
	must(t, os.Symlink(version, filepath.Join(m.dir, "..data_tmp")))
	must(t, os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
}

func (m *mount) policy() string {
	return "tls: { ca: file:" + m.dir + "/ca.crt, cert: file:" + m.dir + "/tls.crt, key: file:" + m.dir + "/tls.key }"
}

// clientFiles are a fresh client certificate and the authorities to trust, and the certificate's serial number.
func clientFiles(t *testing.T, issuer *authority, trusted ...*authority) (map[string][]byte, *x509.Certificate) {
	t.Helper()
	cert, key := issuer.valid(t, "sidecar")
	files := map[string][]byte{"tls.crt": readFile(t, cert), "tls.key": readFile(t, key)}
	for _, a := range trusted {
		files["ca.crt"] = append(files["ca.crt"], readFile(t, a.file)...)
	}
	pair, err := tls.X509KeyPair(files["tls.crt"], files["tls.key"])
	must(t, err)
	return files, pair.Leaf
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return b
}

// steady calls without pause until stop; a call that is not answered 200 fails the test.
func steady(t *testing.T, s *e2e.Sidecar, path string) (stop func() int64) {
	var calls atomic.Int64
	var running sync.WaitGroup
	end := make(chan struct{})
	for i := range 4 {
		running.Go(func() {
			method, body := "GET", ""
			if i%2 == 0 {
				method, body = "POST", `{"a":1}`
			}
			for {
				select {
				case <-end:
					return
				default:
				}
				if a, err := s.Try(t.Context(), method, path, body); err != nil || a.Status != 200 {
					t.Errorf("a call failed: %v %d %.300s", err, a.Status, a.Body)
					return
				}
				calls.Add(1)
			}
		})
	}
	return func() int64 { close(end); running.Wait(); return calls.Load() }
}

// awaitShown returns when every connection shows the provider a certificate: new ones do at once, and those that were
// open are done with within a second.
func awaitShown(t *testing.T, s *e2e.Sidecar, path, serial string) {
	t.Helper()
	e2e.Eventually(t, "certificate "+serial+" to be shown, and no other", func() bool {
		for range 50 {
			if !strings.EqualFold(s.Get(t, path).Body, serial) {
				return false
			}
		}
		return true
	})
}

func TestNginxSeesRenewedClientCertificatesAndNoCallFails(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.valid(t, "127.0.0.1")
	n := startNginx(t, " ssl", "ssl_certificate "+cert+"; ssl_certificate_key "+key+"; ssl_client_certificate "+ca.file+
		`; ssl_verify_client on; keepalive_requests 1000000; location = /who { return 200 "$ssl_client_serial"; }`)
	m := &mount{dir: t.TempDir()}
	files, _ := clientFiles(t, ca, ca)
	m.swap(t, files)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("a", "https://"+n.address, m.policy(), "retry: off")})
	stop := steady(t, s, "/a/load")
	for range 4 {
		files, leaf := clientFiles(t, ca, ca)
		m.swap(t, files)
		awaitShown(t, s, "/a/who", fmt.Sprintf("%X", leaf.SerialNumber))
	}
	if calls := stop(); calls < 200 {
		t.Errorf("only %d calls were made, too few to say anything", calls)
	}
}

// mutual is a provider in Go that wants client certificates of either authority, and shows one of its own that can be
// changed.
type mutual struct {
	server *httptest.Server
	own    atomic.Pointer[tls.Certificate]
}

func startMutual(t *testing.T, protocol string, clients ...*authority) *mutual {
	t.Helper()
	m, pool := new(mutual), x509.NewCertPool()
	for _, a := range clients {
		pool.AddCert(a.cert)
	}
	m.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
	}))
	m.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{protocol}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{protocol}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
			Certificates: []tls.Certificate{*m.own.Load()}}, nil
	}}
	m.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	m.server.StartTLS()
	t.Cleanup(m.server.Close)
	return m
}

// use changes the provider's own certificate.
func (m *mutual) use(t *testing.T, issuer *authority) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(issuer.valid(t, "127.0.0.1"))
	must(t, err)
	m.own.Store(&pair)
}

// The whole move from one authority to another, on both sides, without a failed call.
func TestMovingToAnotherAuthorityFailsNoCall(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			one, two := newAuthority(t), newAuthority(t)
			provider := startMutual(t, protocol, one, two)
			provider.use(t, one)
			m := &mount{dir: t.TempDir()}
			files, _ := clientFiles(t, one, one)
			m.swap(t, files)
			s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("a", provider.server.URL, m.policy(), "retry: off")})
			stop := steady(t, s, "/a/load")
			swap := func(issuer *authority, trusted ...*authority) {
				t.Helper()
				files, leaf := clientFiles(t, issuer, trusted...)
				m.swap(t, files)
				awaitShown(t, s, "/a/who", leaf.SerialNumber.String())
			}
			swap(one, one)
			swap(one, one, two)
			provider.use(t, two)
			swap(two, one, two)
			swap(two, two)
			if calls := stop(); calls < 200 {
				t.Errorf("only %d calls were made, too few to say anything", calls)
			}
			provider.use(t, one) // which is not trusted any more; connections that are open stay
			files, _ = clientFiles(t, two, two)
			m.swap(t, files)
			e2e.Eventually(t, "the old authority to be refused", func() bool { return s.Get(t, "/a/who").Status == 502 })
			said := "certificate of 127.0.0.1: is signed by an unknown authority, test authority (ca: file:"
			if health := s.Get(t, "http://"+s.Probes+"/health").Body; !strings.Contains(health, said) || !strings.Contains(s.Log.String(), said) {
				t.Errorf("neither log nor health say which check failed: %s", health)
			}
		})
	}
}

// A pair of which only one half was replaced is not used, and said.
func TestHalfAPairIsNotUsed(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	provider := startMutual(t, "http/1.1", ca)
	provider.use(t, ca)
	m := &mount{dir: t.TempDir()}
	good, leaf := clientFiles(t, ca, ca)
	m.swap(t, good)
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("a", provider.server.URL, m.policy(), "retry: off")})
	next, nextLeaf := clientFiles(t, ca, ca)
	m.swap(t, map[string][]byte{"ca.crt": good["ca.crt"], "tls.crt": next["tls.crt"], "tls.key": good["tls.key"]})
	e2e.Eventually(t, "the half to be told of", func() bool {
		s.Get(t, "/a/who").WantStatus(t, 200)
		return strings.Contains(s.Log.String(), "changed TLS files cannot be used")
	})
	if a := s.Get(t, "/a/who"); a.Body != leaf.SerialNumber.String() {
		t.Errorf("certificate %s was shown", a.Body)
	}
	if r := s.MustCommand(t, "status"); !strings.Contains(r.Stdout, "changed TLS files cannot be used") {
		t.Errorf("status says nothing of it:\n%s", r.Stdout)
	}
	m.swap(t, next)
	awaitShown(t, s, "/a/who", nextLeaf.SerialNumber.String())
}
