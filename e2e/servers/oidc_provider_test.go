//go:build e2e

package servers

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// oidcServer is npm's oidc-provider, with one client.
type oidcServer struct{ url string }

// oidcClient is the client in the server's words. Each character of its secret means something somewhere on its way.
type oidcClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
	Method string `json:"token_endpoint_auth_method"`
}

const oddSecret = `s:+%&= /?#"\~%41` // all that RFC 6749 appendix A.2 has; the server refuses what is not ASCII

func startOIDC(t *testing.T, c oidcClient, lifetime time.Duration) *oidcServer {
	t.Helper()
	modules, err := filepath.Abs(filepath.Join("..", ".cache", "oidc", "node_modules"))
	must(t, err)
	if _, err := os.Stat(modules); err != nil {
		t.Fatalf("oidc-provider is not installed; e2e/setup.sh installs what these tests need: %v", err)
	}
	address := e2e.FreeAddr(t)
	_, port, _ := strings.Cut(address, ":")
	n, err := strconv.Atoi(port)
	must(t, err)
	settings, err := json.Marshal(map[string]any{"modules": modules, "port": n, "client": c, "lifetime": int(lifetime.Seconds())})
	must(t, err)
	serve(t, address, "node", filepath.Join("..", "oidc", "server.mjs"), string(settings))
	return &oidcServer{"http://" + address}
}

// ask gets a JSON answer; form is nil for a GET.
func (s *oidcServer) ask(path string, form url.Values, into any) error {
	request, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if form != nil {
		request, err = http.NewRequest(http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	}
	if err != nil {
		return err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("resource-server", "asks-about-tokens")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

// takesOpaque asks the server about each token (RFC 7662), as a provider does.
func (s *oidcServer) takesOpaque(token string) error {
	var about struct {
		Active bool
		Scope  string
	}
	if err := s.ask("/token/introspection", url.Values{"token": {token}}, &about); err != nil {
		return err
	}
	if !about.Active || about.Scope != "orders:read orders:write" {
		return fmt.Errorf("the server says %+v", about)
	}
	return nil
}

// takesJWT checks signature, audience and end of a token by itself (RFC 9068).
func (s *oidcServer) takesJWT(key *rsa.PublicKey, token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature); err != nil {
		return err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Aud string
		Exp int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	if claims.Aud != "urn:jwt" || time.Now().Unix() >= claims.Exp {
		return fmt.Errorf("claims %+v", claims)
	}
	return nil
}

func (s *oidcServer) key(t *testing.T) *rsa.PublicKey {
	t.Helper()
	var set struct{ Keys []struct{ N string } }
	must(t, s.ask("/jwks", nil, &set))
	n, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	must(t, err)
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
}

// provider answers 401 to every token that check does not take.
func provider(check func(token string) error, refused *atomic.Int64) e2e.Reply {
	return func(w http.ResponseWriter, r *http.Request, h e2e.Hit) {
		token, _ := strings.CutPrefix(h.Header.Get("Authorization"), "Bearer ")
		if err := check(token); err != nil {
			refused.Add(1)
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("ok"))
	}
}

func (s *oidcServer) auth(more string) string {
	return "auth: { oauth2: { token_url: \"" + s.url + "/token\", client_id: \"fsm:/ +1\", client_secret: env:CLIENT_SECRET, " + more + " } }"
}

const bothScopes = "scopes: [orders:read, orders:write]"

func TestTokensOfARealServer(t *testing.T) {
	t.Parallel()
	for method, style := range map[string]string{"client_secret_basic": "basic", "client_secret_post": "post"} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			oidc := startOIDC(t, oidcClient{"fsm:/ +1", oddSecret, method}, time.Minute)
			var refused atomic.Int64
			key := oidc.key(t)
			opaque := e2e.NewUpstream(t, provider(oidc.takesOpaque, &refused))
			jwt := e2e.NewUpstream(t, provider(func(token string) error { return oidc.takesJWT(key, token) }, &refused))
			s := e2e.Start(t, e2e.Setup{Env: []string{"CLIENT_SECRET=" + oddSecret},
				Adapters: e2e.Adapter("opaque", opaque.URL, oidc.auth(bothScopes+", auth_style: "+style)) +
					e2e.Adapter("jwt", jwt.URL, oidc.auth(bothScopes+", resource: \"urn:jwt\", auth_style: "+style)) +
					e2e.Adapter("target", opaque.URL, oidc.auth("resource: \"urn:other\", auth_style: "+style))})
			for range 3 {
				s.Post(t, "/opaque/a", "{}").WantStatus(t, 200)
				s.Post(t, "/jwt/a", "{}").WantStatus(t, 200)
			}
			p := s.Post(t, "/target/a", "{}").WantProblem(t, 503, "credentials-unavailable")
			if !strings.Contains(p.Detail, "answered 400 invalid_target") {
				t.Errorf("a resource the server does not know: %s", p.Detail)
			}
			m := s.Metrics(t)
			m.Want(t, `integration_token_fetches_total{adapter_id="opaque",result="ok"}`, 1)
			m.Want(t, `integration_token_fetches_total{adapter_id="jwt",result="ok"}`, 1)
			m.Want(t, `integration_token_fetches_total{adapter_id="target",result="rejected"}`, 1)
		})
	}
}

func TestAWrongClientSecretAtARealServer(t *testing.T) {
	t.Parallel()
	oidc := startOIDC(t, oidcClient{"fsm:/ +1", oddSecret, "client_secret_basic"}, time.Minute)
	up := e2e.NewUpstream(t, e2e.OK("never"))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL, oidc.auth(bothScopes)), Env: []string{"CLIENT_SECRET=canary-wrong-91c4"}})
	p := s.Post(t, "/sales/a", "{}").WantProblem(t, 503, "credentials-unavailable")
	if !strings.Contains(p.Detail, "answered 401 invalid_client") || strings.Contains(s.Log.String(), "canary-wrong") {
		t.Errorf("it says %q; log:\n%s", p.Detail, s.Log.Tail(1000))
	}
	up.WantCount(t, 0)
}

// Tokens of three seconds end all the time while calls are made; none of these fails, and few tokens are fetched.
func TestShortLivedTokensOfARealServerUnderLoad(t *testing.T) {
	t.Parallel()
	const lifetime = 3 * time.Second
	oidc := startOIDC(t, oidcClient{"fsm:/ +1", oddSecret, "client_secret_basic"}, lifetime)
	var refused atomic.Int64
	up := e2e.NewUpstream(t, provider(oidc.takesOpaque, &refused))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", up.URL, oidc.auth(bothScopes)), Env: []string{"CLIENT_SECRET=" + oddSecret}})
	start := time.Now()
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for time.Since(start) < 5*lifetime {
				s.Post(t, "/sales/a", "{}").WantStatus(t, 200)
			}
		})
	}
	callers.Wait()
	fetches := s.Metrics(t)[`integration_token_fetches_total{adapter_id="sales",result="ok"}`]
	if most := 2 + time.Since(start).Seconds()/(lifetime/2).Seconds(); fetches < 4 || fetches > most {
		t.Errorf("%g tokens in %s, want 4 to %g", fetches, time.Since(start), most)
	}
	t.Logf("%d calls, %g tokens, %d refused", up.Count(), fetches, refused.Load())
}
