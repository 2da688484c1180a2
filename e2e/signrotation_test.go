package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rotatingProvider believes one key at a time and signs its answers with another.
type rotatingProvider struct {
	believes, signs atomic.Pointer[string]
	signatures      atomic.Int64 // on the last request
}

func webhookKey(name string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%-24s", name))
}

func webhookMAC(key, id, stamp, body string) string {
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	return "v1," + base64.StdEncoding.EncodeToString(mac(string(raw), id+"."+stamp+"."+body))
}

func (p *rotatingProvider) answer(w http.ResponseWriter, _ *http.Request, h Hit) {
	list := strings.Split(h.Header.Get("webhook-signature"), " ")
	p.signatures.Store(int64(len(list)))
	want := webhookMAC(*p.believes.Load(), h.Header.Get("webhook-id"), h.Header.Get("webhook-timestamp"), h.Body)
	status := http.StatusUnauthorized
	for _, got := range list {
		if got == want {
			status = http.StatusOK
		}
	}
	stamp := fmt.Sprint(time.Now().Unix())
	w.Header().Set("webhook-id", "msg_answer")
	w.Header().Set("webhook-timestamp", stamp)
	w.Header().Set("webhook-signature", webhookMAC(*p.signs.Load(), "msg_answer", stamp, "thanks"))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "thanks")
}

// replaceFile changes a file as a mounted Kubernetes Secret changes: whole, or not at all.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path+".new", []byte(text), 0o600))
	must(t, os.Rename(path+".new", path))
}

func TestKeysOfBothSidesRotateUnderLoadAndNoCallFails(t *testing.T) {
	t.Parallel()
	dir, p := t.TempDir(), new(rotatingProvider)
	at := func(name string) string { return filepath.Join(dir, name) }
	key := func(side string, n int) *string { k := webhookKey(fmt.Sprint(side, n)); return &k }
	p.believes.Store(key("ours", 0))
	p.signs.Store(key("theirs", 0))
	for _, name := range []string{"ours", "ours-before"} {
		replaceFile(t, at(name), *key("ours", 0))
	}
	for _, name := range []string{"theirs", "theirs-other"} {
		replaceFile(t, at(name), *key("theirs", 0))
	}
	up := NewUpstream(t, p.answer)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off", "dlq: off",
		"sign: { scheme: standard-webhooks, secret: file:"+at("ours")+", previous: file:"+at("ours-before")+
			", verify_response: { secret: file:"+at("theirs")+", previous: file:"+at("theirs-other")+" } }")})
	load := startLoad(t, s, 6)
	for n := range 2 {
		replaceFile(t, at("ours-before"), *key("ours", n))
		replaceFile(t, at("theirs-other"), *key("theirs", n+1)) // before the provider signs with it
		read := time.Now().Add(1500 * time.Millisecond)         // files are read again after a second
		Eventually(t, "the old key to be written twice", func() bool { return p.signatures.Load() == 1 })
		Until(read)
		replaceFile(t, at("ours"), *key("ours", n+1))
		Eventually(t, "both keys to sign", func() bool { return p.signatures.Load() == 2 })
		seen := load.calls.Load()
		Eventually(t, "the calls of before to end", func() bool { return load.calls.Load() > seen+50 })
		p.believes.Store(key("ours", n+1))
		p.signs.Store(key("theirs", n+1))
		replaceFile(t, at("theirs"), *key("theirs", n+1))
	}
	if calls := load.stop(); calls < 300 {
		t.Errorf("only %d calls were made, too few to say anything", calls)
	}
	s.Get(t, "/sales/load").WantStatus(t, 200)
	p.signs.Store(key("nobody's", 0))
	s.Get(t, "/sales/load").WantProblem(t, 502, "bad-upstream-response")
}

func TestAWebhookKeepsItsIDThroughRetriesCrashAndReplay(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), Status(503), Status(503), OK("done"))
	s := Start(t, Setup{Env: []string{"KEY=" + webhookKey("ours")}, Adapters: Adapter("sales", up.URL, honoured, "sign: { scheme: standard-webhooks, secret: env:KEY }")})
	a := s.Post(t, "/sales/orders", `{"order":1}`)
	a.WantStatus(t, 503)
	s.Kill9()
	s.Restart()
	s.MustCommand(t, "dlq", "replay", a.LetterID())
	stamps := map[string]bool{}
	hits := up.WantCount(t, 4)
	for i, h := range hits {
		id, stamp := h.Header.Get("webhook-id"), h.Header.Get("webhook-timestamp")
		if id == "" || id != hits[0].Header.Get("webhook-id") || stamps[stamp] {
			t.Errorf("attempt %d has the id %q and the time %s; want one id, and another time each", i+1, id, stamp)
		}
		stamps[stamp] = true
		if want := webhookMAC(webhookKey("ours"), id, stamp, h.Body); h.Header.Get("webhook-signature") != want {
			t.Errorf("attempt %d: signature %q, want %q", i+1, h.Header.Get("webhook-signature"), want)
		}
	}
}

// A key in the wrong format is a fault of configuration: the log must say which, and not what it holds.
func TestAKeyInAWrongFormatIsNamedAndNotTold(t *testing.T) {
	t.Parallel()
	const canary = "canary-format-3c0d"
	up, dir := NewUpstream(t, OK("ok")), t.TempDir()
	path := filepath.Join(dir, "key")
	must(t, os.WriteFile(path, []byte(canary), 0o600))
	ref, adapters := "file:"+path, ""
	for name, sign := range map[string]string{
		"webhooks": "scheme: standard-webhooks, secret: " + ref, "private": "scheme: http-message-signatures, algorithm: ed25519, secret: " + ref,
		"hex": "secret_encoding: hex, secret: " + ref, "theirs": "secret: env:FINE, verify_response: { scheme: http-message-signatures, algorithm: ed25519, secret: " + ref + " }",
	} {
		adapters += Adapter(name, up.URL, "sign: { "+sign+" }")
	}
	s := Start(t, Setup{LogLevel: "debug", Env: []string{"FINE=fine"}, Adapters: adapters})
	var seen strings.Builder
	for _, name := range []string{"webhooks", "private", "hex", "theirs"} {
		a := s.Post(t, "/"+name+"/a", "{}")
		a.WantProblem(t, 503, "credentials-unavailable")
		seen.WriteString(a.Body + s.MustCommand(t, "explain", "--config", s.ConfigFile, "POST", "/"+name+"/a").Stdout)
	}
	up.WantCount(t, 0)
	seen.WriteString(s.Get(t, "http://"+s.Probes+"/health").Body + s.MustCommand(t, "status", "-o", "json").Stdout)
	secrets := map[string]string{"key in the wrong format": canary}
	wantHidden(t, "an answer, a command or the health", seen.String(), secrets)
	wantHidden(t, "the log", s.Log.String(), secrets)
	if strings.Count(s.Log.String(), ref+" cannot be used: the key is not") != 4 {
		t.Errorf("the log does not say four times which key cannot be used:\n%s", s.Log.Tail(3000))
	}
}
