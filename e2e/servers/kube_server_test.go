//go:build e2e

package servers

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// cluster is a kube-apiserver with an etcd of its own, and controllers where a test starts them: no scheduler, no kubelet.
// What those would do, the tests do.
type cluster struct {
	url         string
	certificate string // file
	client      *http.Client
	kinds       map[string]kind // by apiVersion/kind
}

const clusterToken = "e2e-administrator"

// clusterPatience bounds waits for the server, which compiles policies and reads schemas behind its answers.
const clusterPatience = time.Minute

func startKubernetes(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	store, peers := e2e.FreeAddr(t), e2e.FreeAddr(t)
	serve(t, store, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", "http://"+store, "--advertise-client-urls", "http://"+store,
		"--listen-peer-urls", "http://"+peers, "--initial-advertise-peer-urls", "http://"+peers, "--initial-cluster", "default=http://"+peers)
	key, tokens := filepath.Join(dir, "accounts.pem"), filepath.Join(dir, "tokens.csv")
	writeAccountKey(t, key)
	must(t, os.WriteFile(tokens, []byte(clusterToken+`,administrator,administrator,"system:masters"`+"\n"), 0o600))
	address := e2e.FreeAddr(t)
	_, port, _ := strings.Cut(address, ":")
	serve(t, address, "kube-apiserver", "--etcd-servers", "http://"+store, "--bind-address", "127.0.0.1", "--secure-port", port,
		"--cert-dir", filepath.Join(dir, "certificates"), "--token-auth-file", tokens, "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://e2e.example", "--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none")
	c := &cluster{url: "https://" + address, kinds: map[string]kind{}, certificate: filepath.Join(dir, "certificates", "apiserver.crt")}
	c.client = &http.Client{Timeout: clusterPatience, Transport: &http.Transport{TLSClientConfig: trusting(t, c.certificate)}}
	t.Cleanup(c.client.CloseIdleConnections)
	within(t, clusterPatience, "the API server to be ready", func() bool {
		status, _, err := c.try(http.MethodGet, "/readyz", "", nil)
		return err == nil && status == http.StatusOK
	})
	return c
}

// writeAccountKey writes the key that signs the tokens of service accounts.
func writeAccountKey(t *testing.T, file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	must(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
}

// trusting trusts the certificate that the server has made for itself.
func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}
}

// within polls until cond holds.
func within(t *testing.T, bound time.Duration, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(bound); !cond(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s, in vain", bound, what)
		}
	}
}
