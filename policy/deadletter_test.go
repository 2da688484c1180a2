package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func openSpool(t testing.TB, maxBytes int64) *dlq.Spool {
	t.Helper()
	spool, err := dlq.Open(dlq.Config{Dir: t.TempDir(), MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	return spool
}

func letters(t testing.TB, spool *dlq.Spool) []*dlq.Letter {
	t.Helper()
	list, err := spool.List(dlq.Filter{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhichFailuresKeepALetter(t *testing.T) {
	unknown := broke(problem.UpstreamTimeout, true)
	unknown.before = func(x *Exchange) {
		x.Unknown = true
		unknown.err.(*problem.Problem).Type = problem.TypeOutcomeUnknown
	}
	gone := outcome{err: ErrCanceled, sent: true, before: func(x *Exchange) { x.Unknown = true }}
	tooLarge := outcome{err: &problem.Problem{Kind: problem.OutcomeUnknown, Type: problem.TypeIdempotency}, never: true}
	for name, c := range map[string]struct {
		outcome outcome
		word    string // in dlq.on; "" never
		kind    problem.ErrorType
		code    string
	}{
		"200":                        {answered(200), "", "", ""},
		"404":                        {answered(404), "", "", ""},
		"501":                        {answered(501), "", "", ""},
		"408":                        {answered(408), "timeout", "client_error", "408"},
		"429":                        {answered(429), "429", "rate_limited", "429"},
		"500":                        {answered(500), "5xx", "server_error", "500"},
		"refused":                    {broke(problem.UpstreamUnreachable, false), "network", "network", "upstream-unreachable"},
		"timeout":                    {broke(problem.UpstreamTimeout, false), "timeout", "timeout", "upstream-timeout"},
		"total timeout":              {broke(problem.TotalTimeout, false), "timeout", "timeout", "total-timeout"},
		"truncated":                  {broke(problem.BadUpstreamResponse, false), "network", "network", "bad-upstream-response"},
		"circuit open":               {stopped(problem.CircuitOpen), "circuit_open", "circuit_open", "circuit-open"},
		"outcome unknown":            {unknown, "outcome_unknown", "outcome_unknown", "upstream-timeout"},
		"gone, outcome unknown":      {gone, "outcome_unknown", "outcome_unknown", "canceled"},
		"gone":                       {outcome{err: ErrCanceled}, "", "", ""},
		"rate limited here":          {stopped(problem.RateLimited), "", "", ""},
		"credentials":                {stopped(problem.CredentialsUnavailable), "", "", ""},
		"in flight":                  {stopped(problem.KeyInFlight), "", "", ""},
		"answered, too large to say": {tooLarge, "", "", ""},
		"internal":                   {stopped(problem.Internal), "", "", ""},
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"} {
			for _, on := range []bool{true, false} {
				spool, s := openSpool(t, 0), testSettings()
				if !on {
					s.DeadLetter.On = slices.DeleteFunc(s.DeadLetter.On, func(w string) bool { return w == c.word })
				}
				x := testExchange(t, method, "/orders", "{}")
				_, _ = deadLetter(s, testIdentity(), spool)(play(t, c.outcome).next)(x)
				kept, want := letters(t, spool), c.word != "" && on && method != "GET" && method != "HEAD"
				if (len(kept) == 1) != want || (x.LetterID != "") != want || x.LetterLost {
					t.Errorf("%s of %s with the word %v: %d letters, id %q", name, method, on, len(kept), x.LetterID)
					continue
				}
				if want && (kept[0].ID != x.LetterID || kept[0].State != dlq.Dead || kept[0].Error.Type != c.kind || kept[0].Error.Code != c.code || kept[0].Error.Message == "") {
					t.Errorf("%s: letter %+v", name, kept[0].Error)
				}
			}
		}
	}
}

func TestALetterHoldsTheCallAndNoSecret(t *testing.T) {
	spool, s := openSpool(t, 0), testSettings()
	s.Auth, s.Sign = &Auth{Header: &SecretHeader{Name: "X-Provider", Value: "env:X"}}, &Sign{Header: "X-Seal"}
	id := testIdentity()
	id.Base = "/api"
	x := testExchange(t, "POST", "/orders?src=web", `{"a":1}`)
	x.Request.Target = "/api/orders?src=web"
	x.Operation, x.Tenant, x.User = "POST /orders", "acme", "u-1"
	x.Key = Key{Value: "key-1", Source: KeyFresh, Scope: "abcd"}
	const secretText = "hunter2"
	for _, name := range []string{"authorization", "Proxy-Authorization", "Cookie", "X-PROVIDER", "x-seal", "X-Api-Key", "X-Auth-Token", "Client-Secret", "X-Password", "X-Hub-Signature-256"} {
		x.Request.Fields.Add(name, secretText)
	}
	x.Request.Fields.Add("Content-Type", "application/json")
	x.Request.Fields.Add("X-Idempotency-Key", "key-1")
	x.Request.Fields.Add("Accept", "a")
	x.Request.Fields.Add("Accept", "b")
	failing := answered(503)
	failing.before = func(x *Exchange) { x.attempt.Fields.Set("Authorization", secretText) }
	_, _ = deadLetter(s, id, spool)(play(t, failing).next)(x)
	list := letters(t, spool)
	if len(list) != 1 {
		t.Fatalf("%d letters", len(list))
	}
	l := list[0]
	text, err := json.Marshal(l)
	if err != nil || bytes.Contains(text, []byte(secretText)) {
		t.Errorf("the letter holds a secret: %s, %v", text, err)
	}
	m := l.OriginalMessage
	wantHeaders := dlq.Headers{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Idempotency-Key", Value: "key-1"}, {Name: "Accept", Value: "a, b"}}
	if m.Method != "POST" || m.URL != "http://erp.test/api/orders?src=web" || m.Target != "/orders?src=web" || m.Operation != "POST /orders" ||
		string(m.Body) != `{"a":1}` || m.BodyDigest != "sha-256=:AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI=:" || !slices.Equal(m.Headers, wantHeaders) {
		t.Errorf("message %+v", m)
	}
	md := l.Metadata
	if md.Attempts != 1 || md.CorrelationID != "corr-1" || md.AdapterID != "erp-main" || md.Adapter != "erp" || md.AdapterVersion != "1.2.3" || md.TenantID != "acme" ||
		md.UserID != "u-1" || md.IdempotencyKey != "key-1" || md.Scope != "abcd" || !md.Fresh || md.Created.IsZero() || md.FirstAttempt.IsZero() || md.LastAttempt.IsZero() {
		t.Errorf("metadata %+v", md)
	}
	if len(l.Attempts) != 1 || l.Attempts[0].Status != 503 || !l.Attempts[0].Sent {
		t.Errorf("attempts %+v", l.Attempts)
	}
}

func TestAnExchangeStoppedByAnEarlierOnesUnknownOutcomeGetsItsLetter(t *testing.T) {
	spool := openSpool(t, 0)
	stage := deadLetter(testSettings(), testIdentity(), spool)
	refused := func(*Exchange) (*wire.Response, error) {
		p := problem.New(problem.OutcomeUnknown, "Unknown.")
		p.LetterID = "018f0000-0000-7000-8000-000000000001"
		return nil, p
	}
	first, second := testExchange(t, "POST", "/", "{}"), testExchange(t, "POST", "/", "{}")
	_, _ = stage(refused)(first) // the process of the earlier call died before it wrote one
	_, _ = stage(refused)(second)
	if list := letters(t, spool); len(list) != 1 || first.LetterID != list[0].ID || second.LetterID != list[0].ID || list[0].ID != "018f0000-0000-7000-8000-000000000001" {
		t.Errorf("%d letters, ids %q and %q", len(list), first.LetterID, second.LetterID)
	}
}

func TestAFullSpoolIsSaidAndStopsNothing(t *testing.T) {
	spool := openSpool(t, 2000)
	stage := deadLetter(testSettings(), testIdentity(), spool)
	x := testExchange(t, "POST", "/", strings.Repeat("x", 4000))
	resp, err := stage(play(t, answered(503)).next)(x)
	if err != nil || resp.Status != 503 || !x.LetterLost || x.LetterID != "" || x.SpoolError == nil {
		t.Errorf("%v, %v, lost %v, id %q, %v", resp, err, x.LetterLost, x.LetterID, x.SpoolError)
	}
}

func TestASuccessResolvesTheLettersOfItsKey(t *testing.T) {
	spool := openSpool(t, 0)
	stage := deadLetter(testSettings(), testIdentity(), spool)
	call := func(scope string, o outcome) *Exchange {
		x := testExchange(t, "POST", "/", "{}")
		x.Key.Scope = scope
		_, _ = stage(play(t, o).next)(x)
		return x
	}
	aa := strings.Repeat("aa", 32)
	failed, other := call(aa, answered(503)), call(strings.Repeat("bb", 32), answered(503))
	call(aa, answered(404))
	if l, _ := spool.Get(failed.LetterID); l.State != dlq.Dead {
		t.Errorf("a refusal made it %s", l.State)
	}
	call(aa, answered(201))
	if l, _ := spool.Get(failed.LetterID); l.State != dlq.Resolved {
		t.Errorf("a success left it %s", l.State)
	}
	if l, _ := spool.Get(other.LetterID); l.State != dlq.Dead {
		t.Errorf("the success of another key made it %s", l.State)
	}
}

func TestAReplayWritesNoLetterOfItsOwn(t *testing.T) {
	spool := openSpool(t, 0)
	x := testExchange(t, "POST", "/", "{}")
	x.Replay = &Replay{Letter: &dlq.Letter{ID: "l"}}
	_, _ = deadLetter(testSettings(), testIdentity(), spool)(play(t, answered(503)).next)(x)
	if n := len(letters(t, spool)); n != 0 || x.LetterID != "" {
		t.Errorf("%d letters, id %q", n, x.LetterID)
	}
}
