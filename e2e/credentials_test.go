package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingSecretFailsTheCallClosed(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	late := filepath.Join(t.TempDir(), "late")
	s := Start(t, Setup{Adapters: Adapter("env", up.URL, "auth: { bearer: env:NOT_SET }") + Adapter("file", up.URL, "auth: { bearer: file:"+late+" }") +
		Adapter("sign", up.URL, "sign: { secret: env:NOT_SET }") + Adapter("fine", up.URL)})
	for _, name := range []string{"env", "file", "sign"} {
		for _, method := range []string{"GET", "POST"} {
			a := s.Do(t, method, "/"+name+"/a", "")
			p := a.WantProblem(t, 503, "credentials-unavailable")
			if strings.Contains(a.Body, filepath.Dir(late)) {
				t.Errorf("the answer names a path of the host: %s", a.Body)
			}
			if p.Attempts != 0 {
				t.Errorf("%s %s: %d attempts, want 0: nothing was sent", method, name, p.Attempts)
			}
		}
	}
	up.WantCount(t, 0)
	s.Get(t, "/fine/a").WantStatus(t, 200)
	s.Metrics(t).Want(t, `integration_errors_total{adapter_id="env",error_type="credentials"}`, 2)
	must(t, os.WriteFile(late, []byte("token-1\n"), 0o600))
	Eventually(t, "the secret that is mounted late to be found", func() bool { return s.Get(t, "/file/a").Status == 200 })
	if got := up.Last(t).Header.Get("Authorization"); got != "Bearer token-1" {
		t.Errorf("Authorization %q, want Bearer token-1", got)
	}
	must(t, os.WriteFile(late, []byte("token-2\n"), 0o600))
	Eventually(t, "the changed secret to be used", func() bool {
		s.Get(t, "/file/a").WantStatus(t, 200)
		return up.Last(t).Header.Get("Authorization") == "Bearer token-2"
	})
}

func TestTenantsHaveSecretsOfTheirOwn(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	dir := t.TempDir()
	for _, tenant := range []string{"acme", "globex"} {
		must(t, os.MkdirAll(filepath.Join(dir, tenant, "sales"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, tenant, "sales", "key"), []byte("key-of-"+tenant), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "key"), []byte("nobody's"), 0o600))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "auth: { header: { name: X-API-Key, value: \"file:"+dir+"/{tenant}/{adapter}/key\" } }")})
	for _, tenant := range []string{"acme", "globex"} {
		s.Get(t, "/sales/a", "X-Tenant-ID: "+tenant, "X-API-Key: forged").WantStatus(t, 200)
		if got := up.Last(t).Header.Values("X-API-Key"); len(got) != 1 || got[0] != "key-of-"+tenant {
			t.Errorf("tenant %s: credential %q, want only key-of-%s", tenant, got, tenant)
		}
	}
	for _, tenant := range []string{"", "unknown", "..", "../acme", "acme/../globex", "acme%2f..", "acme/sales/key#"} {
		s.Get(t, "/sales/a", "X-Tenant-ID: "+tenant).WantProblem(t, 503, "credentials-unavailable")
	}
	up.WantCount(t, 2)
}

// The application may send a field that the adapter fills with a credential: its value is as secret.
func TestCredentialFieldsOfTheApplicationAreNotKept(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{Env: []string{"SECRET=s"}, Adapters: Adapter("sales", up.URL, "auth: { header: { name: X-Partner, value: env:SECRET } }",
		"sign: { secret: env:SECRET, header: X-Seal }")})
	a := s.Post(t, "/sales/a", "{}", "X-Partner: canary-partner", "X-Seal: canary-seal", "X-Plain: kept")
	headers := string(s.Letter(t, a.LetterID()).OriginalMessage.Headers)
	if strings.Contains(headers, "canary") || !strings.Contains(headers, "X-Plain") {
		t.Errorf("headers of the letter %s, want X-Plain and neither X-Partner nor X-Seal of the application", headers)
	}
	if strings.Contains(s.Log.String()+folder(t, s.SpoolDir()), "canary") {
		t.Errorf("the log or the spool holds a credential of the application")
	}
}
