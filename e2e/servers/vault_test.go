//go:build e2e

package servers

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

const vaultAuth = `auth: { header: { name: X-API-Key, value: "vault:integrations/{tenant}/{adapter}/api-key#key" } }`

const acme = "X-Tenant-ID: acme"

func TestEveryWayToLogInToVault(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.write("acme/sales/api-key", map[string]any{"key": "canary-api-key"})
	dir := t.TempDir()
	jwt := serviceAccountToken()
	for name, text := range map[string]string{"jwt": jwt, "forged": jwt[:len(jwt)-4] + "AAAA"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	v.kubernetes(jwt)
	roleID, secretID := v.appRole("1h")
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	for name, c := range map[string]struct {
		block, login, refused string
	}{
		"kubernetes": {v.block("role: app", "jwt: \"file:"+dir+"/jwt\""), "kubernetes role app", ""},
		"approle":    {v.block("auth: approle", "role_id: env:ROLE_ID", "secret_id: env:SECRET_ID"), "approle", ""},
		"token file": {v.tokenFile(t), "token_file", ""},

		"forged service account":     {v.block("role: app", "jwt: \"file:"+dir+"/forged\""), "", "refuses the login at auth/kubernetes"},
		"role that is not there":     {v.block("role: nobody", "jwt: \"file:"+dir+"/jwt\""), "", "refuses the login at auth/kubernetes"},
		"secret id that is not":      {v.block("auth: approle", "role_id: env:ROLE_ID", "secret_id: env:WRONG"), "", "refuses the login at auth/approle"},
		"service account is missing": {v.block("role: app"), "", "cannot log in to Vault: file:/var/run/secrets/kubernetes.io/serviceaccount/token cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := e2e.Start(t, e2e.Setup{Top: c.block, Adapters: e2e.Adapter("sales", up.URL, vaultAuth), LogLevel: "debug",
				Env: []string{"ROLE_ID=" + roleID, "SECRET_ID=" + secretID, "WRONG=canary-wrong-id"}})
			a := s.Get(t, "/sales/a", acme)
			if c.refused != "" {
				a.WantProblem(t, 503, "credentials-unavailable")
				wantLogged(t, s, c.refused)
			} else {
				a.WantStatus(t, 200)
				if got := up.Last(t).Header.Get("X-API-Key"); got != "canary-api-key" {
					t.Errorf("the provider got the key %q", got)
				}
				if status := s.MustCommand(t, "status").Stdout; !strings.Contains(status, "vault   up: "+v.address+" as "+c.login) || !strings.Contains(status, "token until ") {
					t.Errorf("status:\n%s", status)
				}
			}
			seen := a.Body + s.Log.String() + s.MustCommand(t, "status", "-o", "json").Stdout + s.Get(t, "http://"+s.Probes+"/metrics").Body + s.Get(t, "http://"+s.Probes+"/health").Body
			for what, secret := range map[string]string{"key": "canary", "service account's token": jwt, "secret id": secretID, "role id": roleID, "token": "hvs."} {
				if strings.Contains(seen, secret) {
					t.Errorf("the %s shows in a log, an answer, a metric or the status", what)
				}
			}
		})
	}
}

// serviceAccountToken looks like one that Kubernetes issues. Nobody checks its signature but the API of Kubernetes.
func serviceAccountToken() string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	claims := fmt.Sprintf(`{"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:shop:app","aud":["vault"],"exp":%d,"iat":%d,"nbf":%d,
		"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"app","uid":"5a1f"},"pod":{"name":"p","uid":"u"}}}`,
		time.Now().Add(time.Hour).Unix(), time.Now().Unix(), time.Now().Unix())
	return part(`{"alg":"RS256","kid":"k"}`) + "." + part(claims) + "." + part("canary-jwt-"+strings.Repeat("x", 245))
}

func TestARotatedKeyIsUsedByAllSidecarsWithinTheTTLWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.write("acme/sales/api-key", map[string]any{"key": "canary-key-1", "contact": "kept"})
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	f := startFleet(t, 3, e2e.Setup{Top: v.tokenFile(t, "ttl: 3s"), Adapters: e2e.Adapter("sales", up.URL, vaultAuth)})
	load := make([]*callers, len(f.pods))
	for i, s := range f.pods {
		load[i] = startCallers(t, s, 4, "/sales/a", acme)
	}
	e2e.Eventually(t, "the first key to be used", func() bool { return up.Count() > 100 })
	began := time.Now()
	code, said := v.rotate(f.pods[0], v.token("operator", "1h"), "canary-key-2\n", "sales", "--tenant", "acme")
	if code != 0 || !strings.Contains(said, "secret/data/integrations/acme/sales/api-key, field key: version 2 written") || !strings.Contains(said, "vault.ttl is 3s") {
		t.Errorf("secrets rotate ends with %d:\n%s", code, said)
	}
	written := time.Now()
	e2e.Until(written.Add(5 * time.Second))
	for i := range load {
		if calls, other := load[i].stop(); len(other) > 0 || calls == 0 {
			t.Errorf("pod %d: of %d calls failed %v", i, calls, other)
		}
	}
	late, fresh := 0, 0
	const grace = 500 * time.Millisecond // a call under way, on a busy machine
	for _, h := range up.Hits() {
		switch key := h.Header.Get("X-API-Key"); {
		case key == "canary-key-2" && h.At.Before(began), key != "canary-key-1" && key != "canary-key-2":
			t.Fatalf("the key %q at %s", key, h.At)
		case key == "canary-key-1" && h.At.After(written.Add(3*time.Second+grace)):
			late++
		case key == "canary-key-2":
			fresh++
		}
	}
	if late > 0 || fresh == 0 {
		t.Errorf("%d calls with the old key after the TTL, %d with the new", late, fresh)
	}
	var now struct {
		Data struct {
			Data map[string]string `json:"data"`
		} `json:"data"`
	}
	must(t, v.ask(t.Context(), "GET", "secret/data/integrations/acme/sales/api-key", nil, &now))
	if now.Data.Data["contact"] != "kept" || now.Data.Data["key"] != "canary-key-2" {
		t.Errorf("the secret is now %v", now.Data.Data)
	}
	if reads, most := v.asked("read", "secret/data/integrations/acme"), 3*8+3; reads > most {
		t.Errorf("%d reads of one secret by 3 sidecars in about 8 s, want at most %d", reads, most)
	}
	if seen := said + f.pods[0].Log.String() + f.pods[1].Log.String(); strings.Contains(seen, "canary") || strings.Contains(seen, "hvs.") {
		t.Error("a key or token shows in what secrets rotate says or in a log")
	}
}

func TestATokenThatMayOnlyReadCannotRotate(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.write("acme/sales/api-key", map[string]any{"key": "canary-key-1"})
	s := e2e.Start(t, e2e.Setup{Top: v.tokenFile(t), Adapters: e2e.Adapter("sales", e2e.NewUpstream(t, e2e.OK("ok")).URL, vaultAuth)})
	code, said := v.rotate(s, v.token("sidecar", "1h"), "canary-key-2\n", "sales", "--tenant", "acme")
	if code != 1 || !strings.Contains(said, "Vault denies writing secret/data/integrations/acme/sales/api-key; your token needs read, create and update there (status 403)") {
		t.Errorf("secrets rotate ends with %d:\n%s", code, said)
	}
}

func TestVaultInTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin, end func(*vaultServer)
		says       string
	}{
		"sealed": {(*vaultServer).seal, (*vaultServer).unseal, "Vault is sealed"},
		"hangs":  {(*vaultServer).pause, (*vaultServer).resume, "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := startVault(t)
			v.write("acme/sales/api-key", map[string]any{"key": "canary-key-1"})
			v.write("globex/sales/api-key", map[string]any{"key": "canary-key-g"})
			up := e2e.NewUpstream(t, e2e.OK("ok"))
			s := e2e.Start(t, e2e.Setup{Top: v.tokenFile(t, "ttl: 2s", "stale_for: 4s", "timeout: 500ms"), Adapters: e2e.Adapter("sales", up.URL, vaultAuth) + e2e.Adapter("free", up.URL)})
			s.Get(t, "/sales/a", acme).WantStatus(t, 200)
			c.begin(v)
			began := time.Now()
			known := startCallers(t, s, 8, "/sales/a", acme)
			cold := startCallers(t, s, 8, "/sales/a", "X-Tenant-ID: globex")
			e2e.Until(began.Add(4 * time.Second)) // beyond ttl, and not yet beyond stale_for
			if calls, other := known.stop(); len(other) > 0 || calls == 0 {
				t.Errorf("of %d calls whose secret was known failed %v", calls, other)
			}
			_, other := cold.stop()
			if len(other) != 1 || other["503 credentials-unavailable <nil>"] == 0 {
				t.Errorf("calls whose secret was not known ended with %v", other)
			}
			s.Get(t, "/free/a").WantStatus(t, 200)
			m := s.Metrics(t)
			fetches := 0.0
			for series, n := range m {
				if strings.HasPrefix(series, "integration_vault_fetches_total") {
					fetches += n
				}
			}
			if fetches > 25 {
				t.Errorf("%v fetches while Vault was away", fetches)
			}
			if m["integration_vault_up"] != 0 || m["integration_vault_secret_age_seconds"] < 2 {
				t.Errorf("up %v, age %v", m["integration_vault_up"], m["integration_vault_secret_age_seconds"])
			}
			e2e.Eventually(t, "calls to fail closed", func() bool { return s.Get(t, "/sales/a", acme).Status == 503 })
			if took := time.Since(began); took < 5*time.Second {
				t.Errorf("calls failed closed after %s; ttl and stale_for are 6 s", took)
			}
			wantLogged(t, s, "vault:integrations/acme/sales/api-key#key: ")
			wantLogged(t, s, c.says)
			if strings.Contains(s.Log.String(), "canary") {
				t.Error("the log holds a secret")
			}
			if health := s.Get(t, "http://"+s.Probes+"/health").Body; !strings.Contains(health, "vault gives no secrets") {
				t.Errorf("health: %s", health)
			}
			c.end(v)
			e2e.Eventually(t, "calls to succeed again", func() bool { return s.Get(t, "/sales/a", acme).Status == 200 })
			if s.Metrics(t)["integration_vault_up"] != 1 {
				t.Error("Vault is back and is not called up")
			}
		})
	}
}

// What Vault says of one tenant does not touch another.
func TestVaultDeniesOrLacksASecret(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.write("acme/sales/api-key", map[string]any{"key": "canary-key-1"})
	v.write("odd/sales/api-key", map[string]any{"other": "canary-key-2"})
	v.write("gone/sales/api-key", map[string]any{"key": "canary-key-3"})
	v.do("DELETE", "secret/data/integrations/gone/sales/api-key", nil)
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	s := e2e.Start(t, e2e.Setup{Top: v.tokenFile(t, "ttl: 2s"), Adapters: e2e.Adapter("sales", up.URL, vaultAuth) +
		e2e.Adapter("outside", up.URL, "auth: { bearer: vault:other/place#key }")})
	for tenant, says := range map[string]string{"nobody": "there is no secret at secret/data/integrations/nobody/sales/api-key", "gone": "was deleted", "odd": "no field of this name"} {
		s.Get(t, "/sales/a", "X-Tenant-ID: "+tenant).WantProblem(t, 503, "credentials-unavailable")
		wantLogged(t, s, says)
	}
	s.Get(t, "/outside/a").WantProblem(t, 503, "credentials-unavailable")
	wantLogged(t, s, "Vault denies reading secret/data/other/place (status 403)")
	s.Get(t, "/sales/a", acme).WantStatus(t, 200)
	load := startCallers(t, s, 4, "/sales/a", acme)
	v.do("DELETE", "secret/data/integrations/acme/sales/api-key", nil)
	deleted := time.Now()
	e2e.Eventually(t, "the deleted secret to be given up", func() bool { return s.Get(t, "/sales/a", acme).Status == 503 })
	at := time.Now()
	load.stop()
	for _, h := range up.Hits() {
		if h.At.After(at.Add(500 * time.Millisecond)) {
			t.Errorf("a deleted secret was used %s after it was given up", h.At.Sub(at))
		}
	}
	if took := at.Sub(deleted); took > 5*time.Second {
		t.Errorf("a deleted secret was used for %s, its ttl is 2s", took)
	}
}

func TestSecretsThatAreReadAtTheStartMayBeInVault(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	redis := redisSetup{directives: []string{"requirepass canary-redis"}, password: "canary-redis"}.start(t)
	v.write("redis", map[string]any{"password": "canary-redis"})
	v.write("letters", map[string]any{"key": strings.Repeat("5a", 32)})
	up := e2e.NewUpstream(t, e2e.Status(500))
	setup := e2e.Setup{Top: v.tokenFile(t, "timeout: 1s") + "\n" + onRedis(redis.address, "password: \"vault:integrations/redis#password\""),
		DLQ: "encryption_key: \"vault:integrations/letters#key\"", Adapters: e2e.Adapter("sales", up.URL)}
	s := e2e.Start(t, setup)
	if id := s.Post(t, "/sales/a", `{"x":1}`).LetterID(); id == "" {
		t.Error("no letter")
	}
	if s.Metrics(t)["integration_redis_up"] != 1 {
		t.Error("Redis is not used, whose password is in Vault")
	}
	s.Term()
	s.Wait(20 * time.Second)
	v.pause()
	began := time.Now()
	r := e2e.Run(t, s.Dir, nil, "run", "--config", s.ConfigFile)
	v.resume()
	if r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "dlq.encryption_key: read the key that seals: vault:integrations/letters#key: Vault ") || time.Since(began) > 15*time.Second {
		t.Errorf("without Vault run ends with %d after %s:\n%s%s", r.Code, time.Since(began), r.Stdout, r.Stderr)
	}
}

// wantLogged waits for the log to say something: lines are written behind the answers.
func wantLogged(t *testing.T, s *e2e.Sidecar, text string) {
	t.Helper()
	e2e.Eventually(t, "the log to say "+text, func() bool { return strings.Contains(s.Log.String(), text) })
}
