package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// standIn answers as a Vault does to what a sidecar asks. Real ones are in e2e/servers.
type standIn struct {
	url  string
	mu   sync.Mutex
	seen []string
	hang chan struct{} // closed: answers; nil: always does
}

func newStandIn(t *testing.T, hangs bool) *standIn {
	v := &standIn{}
	if hangs {
		v.hang = make(chan struct{})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		v.seen = append(v.seen, r.URL.Path)
		v.mu.Unlock()
		if v.hang != nil {
			select {
			case <-v.hang:
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case r.URL.Path == "/v1/auth/token/lookup-self":
			fmt.Fprint(w, `{"data":{"ttl":3600,"renewable":false}}`)
		case r.Header.Get("X-Vault-Token") != "canary-vault-token":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"errors":["permission denied"]}`)
		default:
			fmt.Fprint(w, `{"data":{"data":{"key":"canary-from-vault"},"metadata":{"version":1}}}`)
		}
	}))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *standIn) asked(path string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.seen {
		if p == path {
			n++
		}
	}
	return n
}

func (v *standIn) block(t *testing.T, more string) string {
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("canary-vault-token\n"), 0o600))
	return "vault: { address: \"" + v.url + "\", auth: token_file, token_file: \"file:" + file + "\"" + more + " }"
}

const fromVault = `auth: { bearer: vault:integrations/sales#key }`

func TestSecretsAreFetchedBeforeTheFirstCallNeedsThem(t *testing.T) {
	t.Parallel()
	v, up := newStandIn(t, false), NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Top: v.block(t, ""), Adapters: Adapter("sales", up.URL, fromVault)})
	Eventually(t, "the secret to be fetched", func() bool { return v.asked("/v1/secret/data/integrations/sales") == 1 })
	for range 50 {
		s.Get(t, "/sales/a").WantStatus(t, 200)
	}
	if n := v.asked("/v1/secret/data/integrations/sales"); n != 1 {
		t.Errorf("the secret was fetched %d times", n)
	}
	if got := up.Last(t).Header.Get("Authorization"); got != "Bearer canary-from-vault" {
		t.Errorf("Authorization %q", got)
	}
	if seen := s.Log.String() + s.MustCommand(t, "status", "-o", "json").Stdout; strings.Contains(seen, "canary") {
		t.Error("a secret shows")
	}
}

func TestAVaultThatHangsDelaysNeitherTheStartNorOtherAdapters(t *testing.T) {
	t.Parallel()
	v, up := newStandIn(t, true), NewUpstream(t, OK("ok"))
	began := time.Now()
	s := Start(t, Setup{Top: v.block(t, ", timeout: 10s"), Adapters: Adapter("sales", up.URL, fromVault) + Adapter("free", up.URL)})
	s.Get(t, "/free/a").WantStatus(t, 200)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("ready after %s: the start waited for Vault", took)
	}
	answer := make(chan Answer, 1)
	go func() {
		a, _ := s.Try(t.Context(), "GET", "/sales/a", "")
		answer <- a
	}()
	s.Get(t, "/free/a").WantStatus(t, 200)
	close(v.hang)
	Receive(t, answer, "the call that waits for its secret").WantStatus(t, 200)
	if n := v.asked("/v1/auth/token/lookup-self"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestAClientSecretAndASigningKeyMayBeInVault(t *testing.T) {
	t.Parallel()
	v, tokens := newStandIn(t, false), newTokenServer(t, "canary-from-vault", time.Hour)
	up := NewUpstream(t, tokens.guarded(OK("ok")))
	s := Start(t, Setup{Top: v.block(t, ""), Adapters: Adapter("sales", up.URL, tokens.oauth2("\"vault:{tenant}/{adapter}#key\""),
		"sign: { secret: \"vault:{tenant}/signing#key\", content: \"{body}\" }")})
	s.Post(t, "/sales/a", "signed", "X-Tenant-ID: acme").WantStatus(t, 200)
	if want := fmt.Sprintf("%x", mac("canary-from-vault", "signed")); up.Last(t).Header.Get("X-Signature") != want {
		t.Errorf("signature %q, want %q", up.Last(t).Header.Get("X-Signature"), want)
	}
	for _, path := range []string{"acme/sales", "acme/signing"} {
		if n := v.asked("/v1/secret/data/" + path); n != 1 {
			t.Errorf("%s was asked for %d times, want once", path, n)
		}
	}
	s.Post(t, "/sales/a", "signed").WantProblem(t, 503, "credentials-unavailable")
}
