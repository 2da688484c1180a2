package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const adminToken = "canary-admin-token-b1ab"

// behindSocket is a sidecar whose admin listener is a Unix socket that wants a token. Its log is set to errors alone.
func behindSocket(t *testing.T, token string, adapters ...string) *Sidecar {
	t.Helper()
	dir, err := os.MkdirTemp("", "adm") // short: a socket's path is at most 107 bytes
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600))
	c := Setup{Adapters: strings.Join(adapters, ""), LogLevel: "error"}
	s := Prepare(t, c)
	s.Admin = "unix:" + filepath.Join(dir, "admin.sock")
	s.WriteText(strings.Replace(s.document(c), "listen: {", "listen: { admin_token: file:"+dir+"/token,", 1))
	s.launch()
	s.WaitReady()
	return s
}

// audits are the audit lines of a log.
func audits(t *testing.T, log string) []map[string]string {
	t.Helper()
	var list []map[string]string
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["msg"] != "audit" {
			continue
		}
		texts := map[string]string{}
		for name, value := range fields {
			texts[name], _ = value.(string)
		}
		list = append(list, texts)
	}
	return list
}

func TestAdminBehindASocketAndAToken(t *testing.T) {
	t.Parallel()
	s := behindSocket(t, adminToken, Adapter("sales", NewUpstream(t, Status(500)).URL, "retry: off"))
	path := strings.TrimPrefix(s.Admin, "unix:")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
	id := s.Post(t, "/sales/a", "{}").LetterID()
	for _, args := range [][]string{{"status"}, {"dlq", "list"}, {"dlq", "discard", id}, {"breaker", "open", "sales"}} {
		if r := s.Command(t, args...); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "wants its admin token") {
			t.Errorf("%v without the token: %d %s", args, r.Code, r.Stderr)
		}
	}
	file := filepath.Join(s.Dir, "token-of-mine")
	must(t, os.WriteFile(file, []byte(adminToken), 0o600))
	s.MustCommand(t, "status", "--admin-token-file", file)
	s.Setup.Env = []string{"SIDECAR_ADMIN_TOKEN=" + adminToken}
	s.MustCommand(t, "dlq", "show", id)
	s.MustCommand(t, "breaker", "open", "sales", "--who", "ann")
	s.MustCommand(t, "dlq", "discard", id, "--yes", "--who", "ann")
	s.Setup.Env = []string{"SIDECAR_ADMIN_TOKEN=" + adminToken + "-wrong"}
	if r := s.Command(t, "status"); r.Code != 1 || !strings.Contains(r.Stderr, "given is another") {
		t.Errorf("with another token: %d %s", r.Code, r.Stderr)
	}
	s.Term()
	s.Wait(patience)
	wantAudited(t, s.Log.String(), id)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// wantAudited proves that each thing left its line, though the log is set to errors, and none the token.
func wantAudited(t *testing.T, log, id string) {
	t.Helper()
	if strings.Contains(log, "canary") {
		t.Errorf("the log holds the token:\n%s", log)
	}
	count := map[string]int{}
	for _, a := range audits(t, log) {
		count[a["who"]+" "+a["action"]+" "+a["object"]+" "+a["outcome"]]++
		if !strings.HasPrefix(a["via"], "unix") || a["request"] == "" || (a["auth"] == "token") != (a["action"] != "sign in") {
			t.Errorf("an audit line without its fields: %v", a)
		}
	}
	for line, n := range map[string]int{"unknown sign in  refused": 5, "unknown show " + id + " shown": 1, "ann breaker open sales done": 1, "ann discard " + id + " discarded": 1} {
		if count[line] < n {
			t.Errorf("%q was audited %d times, want %d: %v", line, count[line], n, count)
		}
	}
}

// A token that was renewed in its file is asked for at once, and a killed sidecar's socket is no obstacle to the next.
func TestAdminSurvivesARenewedTokenAndAKill(t *testing.T) {
	t.Parallel()
	s := behindSocket(t, adminToken, Adapter("sales", NewUpstream(t, OK("ok")).URL))
	s.Setup.Env = []string{"SIDECAR_ADMIN_TOKEN=another-token-of-today"}
	must(t, os.WriteFile(filepath.Join(filepath.Dir(strings.TrimPrefix(s.Admin, "unix:")), "token"), []byte("another-token-of-today"), 0o600))
	Eventually(t, "the new token to be taken", func() bool { return s.Command(t, "status").Code == 0 })
	s.Kill9()
	s.Restart()
	s.MustCommand(t, "status")
}

// Whoever sets a proxy in the environment means other programs: calls that carry credentials go where the configuration
// says. Keys of TLS are never written, whoever asks.
func TestTheEnvironmentRedirectsNothing(t *testing.T) {
	t.Parallel()
	proxy := NewUpstream(t, OK("i am the proxy"))
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.log")
	s := Start(t, Setup{
		Adapters: Adapter("far", "http://192.0.2.1", "retry: off", "egress: { deny: [192.0.2.0/24] }") + Adapter("near", NewUpstream(t, Status(302, "Location: http://192.0.2.1/b")).URL, "retry: off"),
		Env:      []string{"HTTP_PROXY=" + proxy.URL, "http_proxy=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL, "ALL_PROXY=" + proxy.URL, "SSLKEYLOGFILE=" + keys},
	})
	a := s.Post(t, "/far/a", "{}")
	a.WantProblem(t, 502, "upstream-unreachable")
	if !strings.Contains(a.Body, "not allowed") || strings.Contains(a.Body, "192.0.2.1") {
		t.Errorf("the application is told %s", a.Body)
	}
	Eventually(t, "the log to say which address was refused", func() bool {
		return strings.Contains(s.Log.String(), "192.0.2.1 is in egress.deny")
	})
	if a := s.Get(t, "/near/a"); a.Status != 302 {
		t.Errorf("a redirect was followed: %d %s", a.Status, a.Body)
	}
	s.MustCommand(t, "status")
	if n := len(proxy.Hits()); n != 0 {
		t.Errorf("%d calls went to the proxy of the environment", n)
	}
	if _, err := os.Stat(keys); !os.IsNotExist(err) {
		t.Errorf("keys were written: %v", err)
	}
}

// A page of another site cannot make a browser of this machine change anything, nor read.
func TestAForeignPageGetsNothing(t *testing.T) {
	t.Parallel()
	s := Start(t, Setup{Adapters: Adapter("sales", NewUpstream(t, Status(500)).URL, "retry: off")})
	s.Post(t, "/sales/a", "{}")
	for _, c := range []struct{ method, host, origin, contentType string }{
		{"GET", "evil.example", "", ""},
		{"POST", "evil.example:9901", "http://evil.example:9901", "application/json"},
		{"POST", s.Admin, "http://evil.example", "application/json"},
		{"POST", s.Admin, "null", "application/json"},
		{"POST", s.Admin, "", "text/plain"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.Admin+"/api/v1/breakers/sales/open", strings.NewReader("{}"))
		must(t, err)
		r.Host = c.host
		r.Header.Set("Content-Type", c.contentType)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		response, err := s.client.Do(r)
		must(t, err)
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != 403 && response.StatusCode != 415 {
			t.Errorf("%+v: %d %s", c, response.StatusCode, body)
		}
	}
	Eventually(t, "an audit line of each refused POST", func() bool { return len(audits(t, s.Log.String())) == 4 })
	if out := s.MustCommand(t, "status").Stdout; strings.Contains(out, "by hand") {
		t.Errorf("the breaker was opened:\n%s", out)
	}
}
