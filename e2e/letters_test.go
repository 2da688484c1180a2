package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFinalFailureOfAWriteLeavesALetter(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL+"/base", "id: sales-pyxis", "version: 2.1.0", honoured)})
	a := s.Post(t, "/sales/orders?x=1", `{"order":1}`, keyOne, "X-Tenant-ID: acme", "X-User-ID: u-1", "X-Correlation-ID: corr-1", "X-Own: kept")
	a.WantStatus(t, 503)
	if !uuid7.MatchString(a.LetterID()) {
		t.Fatalf("X-Dead-Letter-ID %q, want a UUIDv7", a.LetterID())
	}
	if a.Kind() != "" {
		t.Errorf("the application got the problem %s, want the provider's last response", a.Kind())
	}
	l := s.Letter(t, a.LetterID())
	digest := sha256.Sum256([]byte(`{"order":1}`))
	got := map[string]string{"state": l.State, "method": l.OriginalMessage.Method, "url": l.OriginalMessage.URL, "body": string(l.OriginalMessage.Body),
		"digest": l.OriginalMessage.BodyDigest, "type": l.Error.Type, "code": l.Error.Code, "correlation": l.Metadata.CorrelationID,
		"adapter": l.Metadata.AdapterID, "version": l.Metadata.AdapterVersion, "tenant": l.Metadata.TenantID, "user": l.Metadata.UserID, "key": l.Metadata.IdempotencyKey}
	want := map[string]string{"state": "dead", "method": "POST", "url": up.URL + "/base/orders?x=1", "body": `{"order":1}`,
		"digest": "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":", "type": "server_error", "code": "503", "correlation": "corr-1",
		"adapter": "sales-pyxis", "version": "2.1.0", "tenant": "acme", "user": "u-1", "key": "key-1"}
	for field, w := range want {
		if got[field] != w {
			t.Errorf("%s of the letter is %q, want %q", field, got[field], w)
		}
	}
	if l.Metadata.Attempts != 3 || len(l.Attempts) != 3 || l.Attempts[2].Status != 503 {
		t.Errorf("attempts %d %v, want the three that ended in 503", l.Metadata.Attempts, l.Attempts)
	}
	if l.Error.Message == "" || !strings.Contains(string(l.OriginalMessage.Headers), "X-Own") {
		t.Errorf("message %q headers %s, want a reason and the application's fields", l.Error.Message, l.OriginalMessage.Headers)
	}
	if before, err := time.Parse(time.RFC3339Nano, l.Metadata.FirstAttempt); err != nil || time.Since(before) > time.Minute {
		t.Errorf("firstAttempt %q, want the time just now", l.Metadata.FirstAttempt)
	}
}

func TestLetterIsOnDiskBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	a := s.Post(t, "/sales/orders", `{"order":1}`)
	s.Kill9()
	s.Restart()
	if l := s.Letter(t, a.LetterID()); string(l.OriginalMessage.Body) != `{"order":1}` {
		t.Errorf("the letter's body after a crash is %q", l.OriginalMessage.Body)
	}
}

func TestWhichFailuresLeaveALetter(t *testing.T) {
	t.Parallel()
	cases := []struct {
		method, policy string
		reply          Reply
		letter         string // error type, or several; "" for none
	}{
		{"POST", "", Status(500), "server_error"}, {"PUT", "", Status(500), "server_error"}, {"PATCH", "", Status(502), "server_error"},
		{"DELETE", "", Status(503), "server_error"}, {"POST", "", Status(429), "rate_limited"},
		{"PUT", "", Drop, "network or outcome_unknown"}, {"POST", honoured, Reset, "network or outcome_unknown"},
		{"GET", "", Status(500), ""}, {"HEAD", "", Status(500), ""}, {"OPTIONS", "", Drop, ""},
		{"POST", "", Status(400), ""}, {"POST", "", Status(404), ""}, {"PUT", "", Status(409), ""}, {"POST", "", Status(501), ""},
		{"POST", "", OK("fine"), ""}, {"POST", "", Status(302), ""},
		{"POST", "dlq: off", Status(500), ""}, {"POST", "dlq: { on: [network] }", Status(500), ""}, {"GET", "dlq: { methods: [GET] }", Status(500), "server_error"},
		{"POST", "dlq: { methods: [PUT] }", Status(500), ""},
	}
	for _, c := range cases {
		t.Run(c.method+" "+c.policy+" "+c.letter, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, c.reply)
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, c.policy)})
			a := s.Do(t, c.method, "/sales/orders", "")
			if c.letter == "" {
				if a.LetterID() != "" || len(s.Letters(t, "--state", "all")) != 0 {
					t.Errorf("letter %q, want none", a.LetterID())
				}
				return
			}
			if l := s.Letter(t, a.LetterID()); !slices.Contains(strings.Split(c.letter, " or "), l.Error.Type) {
				t.Errorf("letter type %q, want %q", l.Error.Type, c.letter)
			}
		})
	}
}

func TestLettersAreFiltered(t *testing.T) {
	t.Parallel()
	bad := NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", bad.URL) + Adapter("erp", "http://"+FreeAddr(t), "retry: off")})
	start := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	one := s.Post(t, "/sales/a", "1", "X-Tenant-ID: acme", "X-Idempotency-Key: k1").LetterID()
	two := s.Post(t, "/sales/a", "2", "X-Tenant-ID: globex", "X-Idempotency-Key: k2").LetterID()
	three := s.Post(t, "/erp/a", "3", "X-Tenant-ID: acme", "X-Idempotency-Key: k3").LetterID()
	for filter, want := range map[string][]string{
		"":                                   {one, two, three},
		"--adapter sales":                    {one, two},
		"--adapter erp":                      {three},
		"--error-type network":               {three},
		"--error-type server_error":          {one, two},
		"--tenant acme":                      {one, three},
		"--tenant acme --adapter sales":      {one},
		"--key k2":                           {two},
		"--key nobody":                       {},
		"--since " + start:                   {one, two, three},
		"--until " + start:                   {},
		"--until 2126-01-01T00:00:00Z":       {one, two, three},
		"--since 1h --error-type validation": {},
	} {
		got := s.Letters(t, strings.Fields(filter)...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("dlq list %s: %v, want %v", filter, got, want)
		}
	}
	if table := s.MustCommand(t, "dlq", "list").Stdout; !containsAll(table, one, two, three, "sales", "network") {
		t.Errorf("the table does not show the letters:\n%s", table)
	}
	if r := s.Command(t, "dlq", "show", "0198f0c2-7a35-7c11-9d3a-4be1c2a90d11"); r.Code != 1 || r.Stderr == "" {
		t.Errorf("show of an unknown letter: code %d, %q; want 1 and a reason", r.Code, r.Stderr)
	}
	s.MustCommand(t, "dlq", "discard", two)
	if l := s.Letter(t, two); l.State != "discarded" {
		t.Errorf("state %q after discard", l.State)
	}
}

func TestLaterSuccessResolvesTheLetter(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), OK("done"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	a := s.Do(t, http.MethodPost, "/sales/orders", "{}", keyOne)
	s.Post(t, "/sales/orders", `{"another":1}`, "X-Idempotency-Key: key-2").WantStatus(t, 200)
	if l := s.Letter(t, a.LetterID()); l.State != "dead" {
		t.Fatalf("state %q after a success with another key, want dead", l.State)
	}
	s.Do(t, http.MethodPost, "/sales/orders", "{}", keyOne).WantStatus(t, 200)
	Eventually(t, "the letter to be resolved", func() bool { return s.Letter(t, a.LetterID()).State == "resolved" })
}
