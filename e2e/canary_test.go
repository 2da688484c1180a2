package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// canaries are secrets that must be found at the provider and nowhere else.
var canaries = map[string]string{
	"bearer from env": "canary-bearer-5a1f", "basic from file": "canary-basic-77c0", "header from env": "canary-header-19de",
	"signing key from file": "canary-sign-c3b8", "application's Authorization": "canary-app-auth-04aa", "application's Cookie": "canary-cookie-81b2",
	"application's proxy login": "canary-proxy-6b6b", "application's API key": "canary-api-key-f00d",
}

// hush are things that may be in a letter but in no log line or metric.
var hush = map[string]string{"body": "hush-body-2b2b", "query value": "hush-query-9d9d"}

func canarySetup(t *testing.T, good, bad *Upstream) Setup {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{"basic": canaries["basic from file"], "sign": canaries["signing key from file"]} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600))
	}
	auths := map[string]string{
		"bearer": "auth: { bearer: env:BEARER }",
		"basic":  "auth: { basic: { username: user, password: file:" + dir + "/basic } }",
		"header": "auth: { header: { name: X-Partner-Key, value: env:HEADER } }",
		"none":   "auth: off",
	}
	var adapters string
	for name, auth := range auths {
		sign := "sign: { secret: file:" + dir + "/sign, content: \"{method}{path}{query}{body}\" }"
		adapters += Adapter("good-"+name, good.URL, auth, sign) + Adapter("bad-"+name, bad.URL, auth, sign) +
			Adapter("gone-"+name, "http://"+FreeAddr(t), auth, sign) + Adapter("later-"+name, bad.URL, auth, sign, "delivery: async")
	}
	return Setup{LogLevel: "debug", Adapters: adapters,
		Env: []string{"BEARER=" + canaries["bearer from env"], "HEADER=" + canaries["header from env"]}}
}

func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	good, bad := NewUpstream(t, OK("ok")), NewUpstream(t, Status(500))
	kafka, setup := newBroker(t), canarySetup(t, good, bad)
	setup.DLQ = "kafka: { brokers: [" + kafka.address + "] }"
	s := Start(t, setup)
	var seen strings.Builder // everything the application and the operator can see
	fields := []string{"Authorization: Bearer " + canaries["application's Authorization"], "Cookie: session=" + canaries["application's Cookie"],
		"Proxy-Authorization: Basic " + canaries["application's proxy login"], "X-API-Key: " + canaries["application's API key"]}
	for _, kind := range []string{"good-", "bad-", "gone-", "later-"} {
		for _, name := range []string{"bearer", "basic", "header", "none"} {
			for _, method := range []string{"GET", "POST"} {
				a := s.Do(t, method, "/"+kind+name+"/a?q="+hush["query value"], `{"x":"`+hush["body"]+`"}`, fields...)
				fmt.Fprintln(&seen, a.Status, a.Header, a.Body)
				if at := a.Header.Get("Location"); a.Status == 202 {
					Eventually(t, "the accepted call to end", func() bool { return strings.Contains(s.Get(t, at).Body, `"failed"`) })
					fmt.Fprintln(&seen, s.Get(t, at).Body, s.Get(t, at+"/response").Body)
				}
			}
		}
	}
	wantCredentialsSent(t, good)
	ids := s.Letters(t)
	if len(ids) != 12 {
		t.Fatalf("%d letters, want the 12 of the failed POSTs", len(ids))
	}
	for _, id := range ids {
		seen.WriteString(s.MustCommand(t, "dlq", "show", id, "-o", "json").Stdout)
		seen.WriteString(s.MustCommand(t, "dlq", "show", id).Stdout)
		s.Command(t, "dlq", "replay", id)
	}
	metrics := s.Get(t, "http://"+s.Probes+"/metrics").Body
	seen.WriteString(metrics + s.Get(t, "http://"+s.Probes+"/health").Body + s.Get(t, "http://"+s.Admin+"/").Body)
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"dlq", "list"}, {"validate", "--config", s.ConfigFile},
		{"explain", "--config", s.ConfigFile, "POST", s.URL("/good-bearer/a")}} {
		r := s.Command(t, args...)
		seen.WriteString(r.Stdout + r.Stderr)
	}
	s.Hangup()
	s.Term()
	s.Wait(patience)
	for _, r := range kafka.records(len(ids)) {
		seen.WriteString(fmt.Sprint(r.Headers) + string(r.Value) + decoded(r.Value))
	}
	wantHidden(t, "an answer, a command, a metric or the topic", seen.String(), canaries)
	wantHidden(t, "the log", s.Log.String(), canaries)
	wantHidden(t, "the log", s.Log.String(), hush)
	wantHidden(t, "the metrics", metrics, hush)
	wantHidden(t, "the spool", folder(t, s.SpoolDir()), canaries)
	if !strings.Contains(folder(t, s.SpoolDir()), base64.StdEncoding.EncodeToString([]byte(`{"x":"`+hush["body"]+`"}`))) && !strings.Contains(folder(t, s.SpoolDir()), hush["body"]) {
		t.Errorf("the spool does not hold the letters' bodies, so that looking for secrets there says nothing")
	}
}

// decoded is the body of a letter as JSON.
func decoded(letter []byte) string {
	var l Letter
	_ = json.Unmarshal(letter, &l)
	return string(l.OriginalMessage.Body)
}

// wantCredentialsSent proves that the canaries flew at all.
func wantCredentialsSent(t *testing.T, good *Upstream) {
	t.Helper()
	var sent strings.Builder
	for _, h := range good.Hits() {
		fmt.Fprintln(&sent, h.Header)
		want := hex.EncodeToString(mac(canaries["signing key from file"], h.Method+"/a"+"q="+hush["query value"]+h.Body))
		if h.Header.Get("X-Signature") != want {
			t.Errorf("%s carried the signature %q, want %q", h.Method, h.Header.Get("X-Signature"), want)
		}
	}
	for _, credential := range []string{"Bearer " + canaries["bearer from env"], canaries["header from env"],
		base64.StdEncoding.EncodeToString([]byte("user:" + canaries["basic from file"]))} {
		if !strings.Contains(sent.String(), credential) {
			t.Errorf("the provider never got the credential %q", credential)
		}
	}
}

// wantHidden fails the test when text holds a secret as it is, or in an encoding that is no protection.
func wantHidden(t *testing.T, where, text string, secrets map[string]string) {
	t.Helper()
	lower := strings.ToLower(text)
	for name, secret := range secrets {
		forms := map[string]string{"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "base64": base64.StdEncoding.EncodeToString([]byte(secret)),
			"basic login": base64.StdEncoding.EncodeToString([]byte("user:" + secret)), "decimal": strings.Trim(fmt.Sprint([]byte(secret)), "[]")}
		for form, f := range forms {
			if strings.Contains(text, f) || strings.Contains(lower, strings.ToLower(f)) {
				t.Errorf("%s holds the secret %q (%s)", where, name, form)
			}
		}
	}
}

// folder is the content of every file below dir.
func folder(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	}))
	return all.String()
}
