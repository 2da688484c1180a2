package e2e

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const signed = `sign: { secret: env:HMAC, header: X-Sig, timestamp_header: X-Time, content: "{timestamp}.{key}.{body}" }`

func TestReplayGoesThroughTheWholeChain(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), Status(503), OK("done"))
	s := Start(t, Setup{Env: []string{"HMAC=s1", "TOKEN=tok"}, Adapters: Adapter("sales", up.URL, honoured, signed,
		"auth: { bearer: env:TOKEN }", "retry: { max_retries: 1, initial_delay: 10ms }")})
	a := s.Post(t, "/sales/orders?x=%2F", `{"order":1}`, keyOne, "X-Own: kept")
	first := up.WantCount(t, 2)[0]
	Until(first.At.Truncate(time.Second).Add(1100 * time.Millisecond)) // so that a fresh signature has another time
	s.MustCommand(t, "dlq", "replay", a.LetterID())
	h := up.WantCount(t, 3)[2]
	if h.Method != "POST" || h.Target != "/orders?x=%2F" || h.Body != `{"order":1}` || h.Header.Get("X-Own") != "kept" {
		t.Errorf("replayed as %s %s %q with fields %v", h.Method, h.Target, h.Body, h.Header)
	}
	if h.Header.Get("X-Idempotency-Key") != "key-1" || h.Header.Get("Authorization") != "Bearer tok" {
		t.Errorf("replay carries the key %q and Authorization %q, want the original key and current credentials", h.Header.Get("X-Idempotency-Key"), h.Header.Get("Authorization"))
	}
	want := hex.EncodeToString(mac("s1", h.Header.Get("X-Time")+`.key-1.{"order":1}`))
	if h.Header.Get("X-Sig") != want || h.Header.Get("X-Time") == first.Header.Get("X-Time") {
		t.Errorf("replay carries signature %q of time %s, want a fresh and valid one", h.Header.Get("X-Sig"), h.Header.Get("X-Time"))
	}
	if l := s.Letter(t, a.LetterID()); l.State != "replayed" {
		t.Errorf("state %q after a successful replay, want replayed", l.State)
	}
	again := s.Do(t, "POST", "/sales/orders?x=%2F", `{"order":1}`, keyOne)
	if again.Status != 200 || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the application's own repeat after the replay: %d, want the replayed outcome", again.Status)
	}
	up.WantCount(t, 3)
}

func TestDryRunSendsNothing(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	id := s.Post(t, "/sales/orders", "{}").LetterID()
	s.MustCommand(t, "dlq", "replay", id, "--dry-run")
	up.WantCount(t, 1)
	if l := s.Letter(t, id); l.State != "dead" {
		t.Errorf("state %q after a dry run, want dead", l.State)
	}
}

func TestFailedReplayKeepsTheLetter(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	id := s.Post(t, "/sales/orders", "{}").LetterID()
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 {
		t.Errorf("replay that failed ends with code %d, want 1:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	up.WantCount(t, 2)
	if l := s.Letter(t, id); l.State != "dead" {
		t.Errorf("state %q after a failed replay, want dead", l.State)
	}
	if ids := s.Letters(t, "--state", "all"); len(ids) != 1 {
		t.Errorf("%d letters after a failed replay, want the one: %v", len(ids), ids)
	}
}

func TestReplayOfChosenLetters(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), Status(500), Status(500), OK("done"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL) + Adapter("erp", up.URL)})
	s.Post(t, "/sales/a", "1")
	s.Post(t, "/sales/a", "2")
	other := s.Post(t, "/erp/a", "3").LetterID()
	start := time.Now()
	s.MustCommand(t, "dlq", "replay", "--adapter", "sales", "--rate", "2")
	hits := up.WantCount(t, 5)
	if hits[3].Body != "1" || hits[4].Body != "2" {
		t.Errorf("replayed %q and %q, want the oldest first", hits[3].Body, hits[4].Body)
	}
	if took := time.Since(start); took < 450*time.Millisecond {
		t.Errorf("two letters at --rate 2 took %s, want half a second between them", took)
	}
	if ids := s.Letters(t); len(ids) != 1 || ids[0] != other {
		t.Errorf("open letters %v, want only %s of the other adapter", ids, other)
	}
}

func TestReplayOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		fields []string
		sent   bool
	}{
		"not honoured":         {"idempotency: { honoured: false }", []string{keyOne}, false},
		"not honoured, no key": {"idempotency: { honoured: false }", nil, false},
		"no keys at all":       {"idempotency: off", nil, false},
		"honoured":             {honoured + "\nretry: off", []string{keyOne}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, Drop, OK("done"))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, c.policy)})
			id := s.Post(t, "/sales/orders", "{}", c.fields...).LetterID()
			r := s.Command(t, "dlq", "replay", id)
			if c.sent {
				up.WantCount(t, 2)
				return
			}
			up.WantCount(t, 1)
			if r.Code != 1 || !containsAll(r.Stdout+r.Stderr, "refused") {
				t.Errorf("code %d, want 1 and a refusal:\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			s.MustCommand(t, "dlq", "replay", id, "--force")
			hits := up.WantCount(t, 2)
			if first, forced := hits[0].Header.Get("X-Idempotency-Key"), hits[1].Header.Get("X-Idempotency-Key"); first != forced {
				t.Errorf("forced replay carries the key %q, want %q of the first attempt", forced, first)
			}
		})
	}
}

func TestReplayUsesTheTenantsCredentials(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), OK("done"))
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "acme"), []byte("key-of-acme"), 0o600))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "auth: { bearer: \"file:"+dir+"/{tenant}\" }")})
	id := s.Post(t, "/sales/orders", "{}", "X-Tenant-ID: acme").LetterID()
	s.MustCommand(t, "dlq", "replay", id)
	if hits := up.WantCount(t, 2); hits[1].Header.Get("Authorization") != "Bearer key-of-acme" {
		t.Errorf("replay carries Authorization %q, want the tenant's", hits[1].Header.Get("Authorization"))
	}
}

func TestReplayPastTheProvidersMemoryNeedsForce(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), OK("done"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off", "idempotency: { honoured: true, provider_ttl: 1s }")})
	id := s.Post(t, "/sales/orders", "{}").LetterID()
	Until(up.Last(t).At.Add(1100 * time.Millisecond))
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 {
		t.Errorf("code %d of a replay past provider_ttl, want 1:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	up.WantCount(t, 1)
	s.MustCommand(t, "dlq", "replay", id, "--force")
	up.WantCount(t, 2)
}

func TestReplayObeysTheBreaker(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), OK("done"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	id := s.Post(t, "/sales/orders", "{}").LetterID()
	s.MustCommand(t, "breaker", "open", "sales")
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 {
		t.Errorf("code %d of a replay through an open breaker, want 1:\n%s", r.Code, r.Stdout)
	}
	up.WantCount(t, 1)
	s.MustCommand(t, "breaker", "close", "sales")
	s.MustCommand(t, "dlq", "replay", id)
	up.WantCount(t, 2)
}
