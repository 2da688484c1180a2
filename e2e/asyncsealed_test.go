package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// heldBack accepts a call behind an open breaker, with a key file of one line.
func heldBack(t *testing.T, up *Upstream, more, ttl string) (s *Sidecar, key, location string) {
	t.Helper()
	key = filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte(strings.Repeat("ab", 32)+"\n"), 0o600))
	s = Start(t, Setup{Adapters: Adapter("sales", up.URL, async, "breaker: { reset_timeout: 1h }\nidempotency: { ttl: "+ttl+" }"),
		DLQ: "encryption_key: file:" + key + "\n" + more})
	s.MustCommand(t, "breaker", "open", "sales")
	a := s.Post(t, "/sales/orders?q=sealed-query", `{"order":"sealed-body"}`, "X-Own: sealed-field")
	a.WantStatus(t, 202)
	Eventually(t, "its try to be put back", func() bool { // or it is doubtful after a kill
		return strings.Contains(s.Log.String(), `"put_back":true`) && s.Metrics(t)[`integration_accepted_exchanges{adapter_id="sales",state="accepted"}`] == 1
	})
	return s, key, a.Header.Get("Location")
}

func (s *Sidecar) restartWithKeys(t *testing.T, file string, bytes ...string) {
	t.Helper()
	var lines strings.Builder
	for _, b := range bytes {
		lines.WriteString(strings.Repeat(b, 32) + "\n")
	}
	must(t, os.WriteFile(file, []byte(lines.String()), 0o600))
	s.Kill9()
	s.Restart()
}

func TestAnAcceptedCallIsSealedOnDiskAndDeliveredAfterARotation(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"body kept": "", "body omitted": "body: omit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, Status(503, "X-Made: sealed-answer-field"))
			s, key, location := heldBack(t, up, more, "1h")
			s.restartWithKeys(t, key, "cd", "ab")
			x := s.ended(t, location, "failed")
			if h := up.Hits()[0]; h.Body != `{"order":"sealed-body"}` || h.Target != "/orders?q=sealed-query" || h.Header.Get("X-Own") != "sealed-field" {
				t.Errorf("sent as %+v", h)
			}
			if final := s.Get(t, x.Response); final.Status != 503 || final.Header.Get("X-Made") != "sealed-answer-field" {
				t.Errorf("the final response is %d %v", final.Status, final.Header)
			}
			if body := string(s.Letter(t, x.LetterID).OriginalMessage.Body); (body == "") != (more != "") {
				t.Errorf("the letter holds the body %q", body)
			}
			for _, name := range []string{"exchanges.db", "letters.db", "letters.journal"} {
				file, err := os.ReadFile(filepath.Join(s.SpoolDir(), name))
				must(t, err)
				wantHidden(t, name, string(file), map[string]string{"query": "sealed-query", "body": "sealed-body", "field": "sealed-field", "answer": "sealed-answer-field"})
			}
		})
	}
}

// Its key may come back; when it does not, somebody is told.
func TestAnAcceptedCallWhoseKeyIsGoneEndsAsALetter(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s, key, location := heldBack(t, up, "", "3s")
	s.restartWithKeys(t, key, "ef")
	x := s.ended(t, location, "failed")
	up.WantCount(t, 0)
	if x.Problem == nil || x.Problem.Type != problemPrefix+"spool-unavailable" || !strings.Contains(x.Problem.Detail, "dlq.encryption_key") || x.LetterID == "" {
		t.Fatalf("it is %+v, %+v", x, x.Problem)
	}
	if l := s.Letter(t, x.LetterID); l.OriginalMessage.Method != "POST" || len(l.OriginalMessage.Body) != 0 || l.Metadata.AdapterID != "sales" {
		t.Errorf("the letter is %+v", l)
	}
	if r := s.Command(t, "dlq", "replay", x.LetterID); r.Code != 1 {
		t.Errorf("a call of which nothing is left was replayed: %s", r.Stdout)
	}
}
