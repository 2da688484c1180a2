//go:build e2e

package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// vaultServer is a Vault of one test, with TLS and without a disk: unsealed, with the KV engine (version 2) at secret/, and
// with an audit log, which tells who asked for what.
type vaultServer struct {
	address   string // URL
	authority *authority
	root, key string // the root token, and the unseal key
	audit     string // file

	t      *testing.T
	client *http.Client
	cmd    *exec.Cmd
}

func startVault(t *testing.T) *vaultServer {
	t.Helper()
	dir, address := t.TempDir(), e2e.FreeAddr(t)
	v := &vaultServer{address: "https://" + address, authority: newAuthority(t), audit: filepath.Join(dir, "audit.log"), t: t}
	cert, key := v.authority.valid(t, "127.0.0.1")
	file := filepath.Join(dir, "vault.hcl")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "disable_mlock = true\nstorage \"inmem\" {}\nlistener \"tcp\" {\n  address = %q\n  tls_cert_file = %q\n  tls_key_file = %q\n  cluster_address = %q\n}\n",
		address, cert, key, e2e.FreeAddr(t)), 0o600))
	roots := x509.NewCertPool()
	roots.AddCert(v.authority.cert)
	v.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	v.launch(file)
	var init struct {
		Keys  []string `json:"keys"`
		Token string   `json:"root_token"`
	}
	e2e.Eventually(t, "Vault to be initialised", func() bool {
		return v.ask(t.Context(), "PUT", "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}, &init) == nil
	})
	v.root, v.key = init.Token, init.Keys[0]
	v.unseal()
	v.do("POST", "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	v.do("PUT", "sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": v.audit}})
	v.do("PUT", "sys/policies/acl/sidecar", map[string]any{"policy": `path "secret/data/integrations/*" { capabilities = ["read"] }`})
	v.do("PUT", "sys/policies/acl/operator", map[string]any{"policy": `path "secret/data/integrations/*" { capabilities = ["read", "create", "update"] }`})
	return v
}

func (v *vaultServer) launch(file string) {
	log := new(e2e.Output)
	v.cmd = exec.Command(program(v.t, "vault"), "server", "-config", file)
	v.cmd.Stdout, v.cmd.Stderr = log, log
	must(v.t, v.cmd.Start())
	v.t.Cleanup(func() {
		_ = v.cmd.Process.Signal(syscall.SIGCONT)
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
		v.client.CloseIdleConnections()
		if v.t.Failed() {
			v.t.Logf("last output of vault:\n%s", log.Tail(2000))
		}
	})
}

// ask makes one request with the root token.
func (v *vaultServer) ask(ctx context.Context, method, path string, body, into any) error {
	content, err := json.Marshal(body)
	must(v.t, err)
	request, err := http.NewRequestWithContext(ctx, method, v.address+"/v1/"+path, bytes.NewReader(content))
	must(v.t, err)
	request.Header.Set("X-Vault-Token", v.root)
	response, err := v.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	_, _ = answer.ReadFrom(response.Body)
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, answer.String())
	}
	if into != nil {
		return json.Unmarshal(answer.Bytes(), into)
	}
	return nil
}

func (v *vaultServer) do(method, path string, body any) {
	v.t.Helper()
	must(v.t, v.ask(context.Background(), method, path, body, nil))
}

// write puts a secret below secret/integrations.
func (v *vaultServer) write(path string, fields map[string]any) {
	v.t.Helper()
	v.do("PUT", "secret/data/integrations/"+path, map[string]any{"data": fields})
}

func (v *vaultServer) seal() { v.t.Helper(); v.do("PUT", "sys/seal", nil) }

func (v *vaultServer) unseal() { v.t.Helper(); v.do("PUT", "sys/unseal", map[string]any{"key": v.key}) }

// pause makes the server hang, as one that swaps or whose network is gone: connections stay open, nothing is answered.
func (v *vaultServer) pause() {
	v.t.Helper()
	must(v.t, v.cmd.Process.Signal(syscall.SIGSTOP))
	e2e.Eventually(v.t, "Vault to stop", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.cmd.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
}

func (v *vaultServer) resume() { must(v.t, v.cmd.Process.Signal(syscall.SIGCONT)) }

// token returns a token with a policy.
func (v *vaultServer) token(policy, ttl string) string {
	v.t.Helper()
	var answer struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	must(v.t, v.ask(v.t.Context(), "POST", "auth/token/create", map[string]any{"policies": []string{policy}, "ttl": ttl}, &answer))
	return answer.Auth.Token
}

// asked is how often a path was asked for so far, by whomever.
func (v *vaultServer) asked(method, path string) int {
	v.t.Helper()
	log, err := os.ReadFile(v.audit)
	must(v.t, err)
	n := 0
	for line := range strings.Lines(string(log)) {
		var entry struct {
			Type    string `json:"type"`
			Request struct {
				Operation string `json:"operation"`
				Path      string `json:"path"`
			} `json:"request"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Type == "request" && entry.Request.Operation == method && strings.HasPrefix(entry.Request.Path, path) {
			n++
		}
	}
	return n
}

// appRole makes a role and returns the file of its secret id, and its role id.
func (v *vaultServer) appRole(ttl string) (roleID, secretID string) {
	v.t.Helper()
	v.do("POST", "sys/auth/approle", map[string]any{"type": "approle"})
	v.do("POST", "auth/approle/role/sidecar", map[string]any{"token_policies": []string{"sidecar"}, "token_ttl": ttl})
	var id struct {
		Data struct {
			RoleID   string `json:"role_id"`
			SecretID string `json:"secret_id"`
		} `json:"data"`
	}
	must(v.t, v.ask(v.t.Context(), "GET", "auth/approle/role/sidecar/role-id", nil, &id))
	must(v.t, v.ask(v.t.Context(), "POST", "auth/approle/role/sidecar/secret-id", nil, &id))
	return id.Data.RoleID, id.Data.SecretID
}

// kubernetes lets the service account app log in, by a Kubernetes of this test that knows no more than its token.
func (v *vaultServer) kubernetes(jwt string) {
	v.t.Helper()
	api := http.NewServeMux()
	api.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct {
				Token     string   `json:"token"`
				Audiences []string `json:"audiences"`
			} `json:"spec"`
		}
		_ = json.NewDecoder(r.Body).Decode(&review)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": map[string]any{
			"authenticated": review.Spec.Token == jwt, "audiences": review.Spec.Audiences,
			"user": map[string]any{"username": "system:serviceaccount:shop:app", "uid": "5a1f", "groups": []string{"system:serviceaccounts"}}}})
	})
	server := httptest.NewServer(api)
	v.t.Cleanup(server.Close)
	v.do("POST", "sys/auth/kubernetes", map[string]any{"type": "kubernetes"})
	v.do("POST", "auth/kubernetes/config", map[string]any{"kubernetes_host": server.URL, "disable_local_ca_jwt": true, "token_reviewer_jwt": "reviewer"})
	v.do("POST", "auth/kubernetes/role/app", map[string]any{"bound_service_account_names": []string{"app"}, "bound_service_account_namespaces": []string{"shop"},
		"token_policies": []string{"sidecar"}, "token_ttl": "1h"})
}

// block is the vault block for this server; more are further keys.
func (v *vaultServer) block(more ...string) string {
	return "vault: { " + strings.Join(append([]string{"address: \"" + v.address + "\"", "tls: { ca: \"file:" + v.authority.file + "\" }"}, more...), ", ") + " }"
}

// tokenFile is the vault block with a token in a file.
func (v *vaultServer) tokenFile(t *testing.T, more ...string) string {
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(v.token("sidecar", "1h")+"\n"), 0o600))
	return v.block(append(more, "auth: token_file", "token_file: \"file:"+file+"\"")...)
}

// rotate runs secrets rotate as somebody with a token, beside a running sidecar.
func (v *vaultServer) rotate(s *e2e.Sidecar, token, key string, args ...string) (code int, said string) {
	r := e2e.Feed(v.t, key, s.Dir, []string{"SIDECAR_ADMIN=" + s.Admin, "VAULT_CACERT=" + v.authority.file, "VAULT_TOKEN=" + token}, append([]string{"secrets", "rotate"}, args...)...)
	return r.Code, r.Stdout + r.Stderr
}

// callers make calls until they are stopped, and keep every answer that is not 200, and the longest time one took.
type callers struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	calls   int
	other   map[string]int
}

func startCallers(t *testing.T, s *e2e.Sidecar, atOnce int, target string, fields ...string) *callers {
	ctx, cancel := context.WithCancel(t.Context())
	c := &callers{cancel: cancel, other: map[string]int{}}
	t.Cleanup(cancel)
	for range atOnce {
		c.running.Go(func() {
			for ctx.Err() == nil {
				a, err := s.Try(t.Context(), "GET", target, "", fields...)
				c.mu.Lock()
				c.calls++
				if err != nil || a.Status != 200 {
					c.other[fmt.Sprint(a.Status, " ", a.Kind(), " ", err)]++
				}
				c.mu.Unlock()
			}
		})
	}
	return c
}

func (c *callers) stop() (calls int, other map[string]int) {
	c.cancel()
	c.running.Wait()
	return c.calls, c.other
}
