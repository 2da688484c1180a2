package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// young is the age up to which a token that is refused is kept.
const young = 10 * time.Second

func TestAnAccessTokenIsFetchedOnceAndOutlivesAReload(t *testing.T) {
	t.Parallel()
	tokens := newTokenServer(t, "s:+%&= ü", time.Hour)
	up := NewUpstream(t, tokens.guarded(OK("ok")))
	sales := Adapter("sales", up.URL, tokens.oauth2("env:CLIENT_SECRET"))
	s := Start(t, Setup{Adapters: sales, Env: []string{"CLIENT_SECRET=s:+%&= ü"}})
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() { s.Post(t, "/sales/a", "{}").WantStatus(t, 200) })
	}
	calls.Wait()
	s.Write(Setup{Adapters: sales + Adapter("marker", up.URL), Env: s.Setup.Env})
	s.Hangup()
	awaitAdapter(t, s, "marker", true)
	s.Get(t, "/sales/a").WantStatus(t, 200)
	if tokens.count() != 1 {
		t.Errorf("%d requests for tokens, want 1", tokens.count())
	}
	s.Metrics(t).Want(t, `integration_token_fetches_total{adapter_id="sales",result="ok"}`, 1)
	r := s.MustCommand(t, "explain", "--config", s.ConfigFile, "POST", "/sales/a")
	for _, want := range []string{"at most 4", "a 401 is followed by one more attempt", "auth.oauth2.token_url", tokens.url} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("explain does not say %q:\n%s", want, r.Stdout)
		}
	}
}

func TestATokenEndpointInTrouble(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond // auth.oauth2.timeout
	gate := NewGate(t)
	for name, c := range map[string]struct {
		trouble http.HandlerFunc // nil: nobody listens
		detail  string
		result  string
	}{
		"down":     {nil, "could not be reached", "unreachable"},
		"slow":     {func(w http.ResponseWriter, r *http.Request) { gate.Hold(OK("late"))(w, r, Hit{}) }, "in time", "timeout"},
		"garbage":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>no token") }, "not a token", "invalid"},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "answered 503", "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, up := newTokenServer(t, "s3cret", time.Hour), NewUpstream(t, OK("never"))
			tokens.change(func() { tokens.trouble = c.trouble })
			if c.trouble == nil {
				tokens.url = "http://" + FreeAddr(t) + "/token"
			}
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, tokens.oauth2("env:CLIENT_SECRET", "timeout: "+limit.String())), Env: []string{"CLIENT_SECRET=s3cret"}})
			start := time.Now()
			var callers sync.WaitGroup
			for range 40 {
				callers.Go(func() {
					for time.Since(start) < 4*time.Second {
						a := s.Post(t, "/sales/a", "{}")
						p := a.WantProblem(t, 503, "credentials-unavailable")
						if !p.Retryable || p.Attempts != 0 || !strings.Contains(p.Detail, c.detail) || a.Took > limit+patience/4 {
							t.Errorf("%+v after %s", p, a.Took)
						}
						if a.Header.Get("Retry-After") == "" {
							t.Error("no Retry-After")
						}
						Until(time.Now().Add(5 * time.Millisecond))
					}
				})
			}
			callers.Wait()
			up.WantCount(t, 0)
			fetches := s.Metrics(t)[`integration_token_fetches_total{adapter_id="sales",result="`+c.result+`"}`]
			most := 2 + time.Since(start).Seconds()
			if fetches < 2 || fetches > most || c.trouble != nil && tokens.count() != int(fetches) {
				t.Errorf("%g fetches counted, %d arrived; want 2 to %g", fetches, tokens.count(), most)
			}
			if st := s.MustCommand(t, "status"); !strings.Contains(st.Stdout, c.detail) {
				t.Errorf("status does not say %q:\n%s", c.detail, st.Stdout)
			}
		})
	}
}

// The secret changes at the authorization server first and in the file a moment later, while tokens of four seconds are
// in use.
func TestNoCallFailsWhileTheClientSecretIsRotated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte("first"), 0o600))
	tokens := newTokenServer(t, "first", 4*time.Second)
	up := NewUpstream(t, tokens.guarded(OK("ok")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, tokens.oauth2("file:"+file))})
	load, start := startLoad(t, s, 8), time.Now()
	Eventually(t, "the first token", func() bool { return tokens.count() > 0 })
	for n := range 3 {
		secret := fmt.Sprint("rotated-", n)
		tokens.change(func() { tokens.secret = secret })
		Until(time.Now().Add(100 * time.Millisecond))
		must(t, os.WriteFile(file+".next", []byte(secret), 0o600))
		must(t, os.Rename(file+".next", file))
		Until(time.Now().Add(3 * time.Second))
	}
	calls, took := load.stop(), time.Since(start)
	most := 2*int(took/(2*time.Second)) + 6
	if n := tokens.count(); n < 4 || n > most {
		t.Errorf("%d requests for tokens in %s, want 4 to %d", n, took, most)
	}
	t.Logf("%d calls, %d requests for tokens", calls, tokens.count())
}

func TestARevokedTokenIsReplacedWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	tokens := newTokenServer(t, "s3cret", time.Hour)
	up := NewUpstream(t, tokens.guarded(OK("ok")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, tokens.oauth2("env:CLIENT_SECRET"), "retry: off", "sign: { secret: env:CLIENT_SECRET, content: \"{timestamp}.{id}.{body}\" }"),
		Env: []string{"CLIENT_SECRET=s3cret"}})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	Until(time.Now().Add(young + 100*time.Millisecond))
	tokens.change(func() { clear(tokens.good) })
	before := up.Count()
	a := s.Post(t, "/sales/order", `{"n":1}`)
	a.WantStatus(t, 200)
	hits := up.WantCount(t, before+2)[before:]
	if hits[0].Body != hits[1].Body || hits[0].Header.Get("X-Signature") == hits[1].Header.Get("X-Signature") ||
		hits[0].Header.Get("X-Idempotency-Key") != hits[1].Header.Get("X-Idempotency-Key") || hits[0].Header.Get("X-Timestamp") == hits[1].Header.Get("X-Timestamp") {
		t.Errorf("sent again as %v, first as %v", hits[1].Header, hits[0].Header)
	}
	Until(time.Now().Add(young + 100*time.Millisecond))
	load := startLoad(t, s, 8)
	Eventually(t, "traffic", func() bool { return load.calls.Load() > 50 })
	tokens.change(func() { clear(tokens.good) })
	done := load.calls.Load()
	Eventually(t, "more traffic", func() bool { return load.calls.Load() > done+50 })
	load.stop()
	if tokens.count() != 3 {
		t.Errorf("%d requests for tokens, want one and one for each time they were revoked", tokens.count())
	}
	if n := s.Metrics(t)[`integration_retries_total{adapter_id="sales"}`]; n < 2 {
		t.Errorf("%g attempts after the first are counted", n)
	}
}

func TestAProviderThatRefusesEveryTokenIsNotFetchedFor(t *testing.T) {
	t.Parallel()
	tokens := newTokenServer(t, "s3cret", time.Hour)
	up := NewUpstream(t, Status(401))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, tokens.oauth2("env:CLIENT_SECRET")), Env: []string{"CLIENT_SECRET=s3cret"}})
	start := time.Now()
	calls := 0
	for ; time.Since(start) < young+2*time.Second; calls++ {
		s.Post(t, "/sales/a", "{}", "Idempotency-Key: the-same").WantStatus(t, 401)
		Until(time.Now().Add(10 * time.Millisecond))
	}
	if up.Count() < calls {
		t.Errorf("%d of %d calls reached the provider: a 401 was replayed by its key", up.Count(), calls)
	}
	if n, most := tokens.count(), 1+int(time.Since(start)/young); n > most || n < 2 {
		t.Errorf("%d requests for tokens in %s, want 2 to %d", n, time.Since(start), most)
	}
}

func TestTokensAndClientSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	hidden := map[string]string{"client secret": "canary-client-secret-7e:+", "wrong client secret": "canary-wrong-secret-3c", "token": "canary-token-"} // each fetch has its number, and adapters call in any order
	tokens := newTokenServer(t, hidden["client secret"], time.Hour)
	odd := newTokenServer(t, "", time.Hour)
	odd.trouble = func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token":"canary-token-1 %s","token_type":`, r.Header.Get("Authorization"))
	}
	echo := func(status int) Reply { // what the provider says of the token is the application's to read, and no one else's
		return func(w http.ResponseWriter, r *http.Request, h Hit) {
			w.WriteHeader(status)
			fmt.Fprint(w, "said")
		}
	}
	good, bad := NewUpstream(t, tokens.guarded(echo(200))), NewUpstream(t, tokens.guarded(echo(500)))
	auths := map[string]string{"right": tokens.oauth2("env:RIGHT"), "wrong": tokens.oauth2("env:WRONG"), "odd": odd.oauth2("env:RIGHT"), "post": odd.oauth2("env:RIGHT", "auth_style: post")}
	var adapters string
	for name, auth := range auths {
		adapters += Adapter("good-"+name, good.URL, auth) + Adapter("bad-"+name, bad.URL, auth) + Adapter("refused-"+name, NewUpstream(t, Status(401)).URL, auth) +
			Adapter("gone-"+name, "http://"+FreeAddr(t), auth) + Adapter("later-"+name, bad.URL, auth, "delivery: async")
	}
	s := Start(t, Setup{Adapters: adapters, LogLevel: "debug", Env: []string{"RIGHT=" + hidden["client secret"], "WRONG=" + hidden["wrong client secret"]}})
	var seen strings.Builder
	for _, kind := range []string{"good-", "bad-", "refused-", "gone-", "later-"} {
		for name := range auths {
			a := s.Post(t, "/"+kind+name+"/a", "{}")
			fmt.Fprintln(&seen, a.Status, a.Header, a.Body)
		}
	}
	if !slices.ContainsFunc(good.Hits(), func(h Hit) bool { return strings.Contains(h.Header.Get("Authorization"), hidden["token"]) }) {
		t.Error("no call carried the token, so that looking for it says nothing")
	}
	Eventually(t, "the accepted call to end", func() bool { return len(s.Letters(t)) >= 3 })
	for _, id := range s.Letters(t) {
		seen.WriteString(s.MustCommand(t, "dlq", "show", id, "-o", "json").Stdout)
	}
	seen.WriteString(s.Get(t, "http://"+s.Probes+"/metrics").Body + s.Get(t, "http://"+s.Probes+"/health").Body)
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"dlq", "list"}, {"validate", "--config", s.ConfigFile},
		{"explain", "--config", s.ConfigFile, "POST", "/good-right/a"}} {
		r := s.Command(t, args...)
		seen.WriteString(r.Stdout + r.Stderr)
	}
	s.Hangup()
	s.Signal(6) // a dump of every goroutine, as a panic leaves it
	s.Wait(patience)
	wantHidden(t, "an answer, a command or a metric", seen.String(), hidden)
	wantHidden(t, "the log or the dump", s.Log.String(), hidden)
	wantHidden(t, "the spool", folder(t, s.SpoolDir()), hidden)
	if !strings.Contains(s.Log.String(), "goroutine ") || !strings.Contains(s.Log.String(), "invalid_client") {
		t.Errorf("there is no dump, or the log does not say why there is no token: %s", s.Log.Tail(2000))
	}
}

func TestATokenThatCannotBeRenewedIsToldOfWhileItServes(t *testing.T) {
	t.Parallel()
	tokens := newTokenServer(t, "s3cret", 8*time.Second)
	up := NewUpstream(t, tokens.guarded(OK("ok")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, tokens.oauth2("env:CLIENT_SECRET")), Env: []string{"CLIENT_SECRET=s3cret"}})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	tokens.change(func() { tokens.trouble = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) } })
	Eventually(t, "the log to tell", func() bool {
		s.Get(t, "/sales/a").WantStatus(t, 200)
		return strings.Contains(s.Log.String(), `"token_error":"the token endpoint answered 503"`)
	})
	if r := s.MustCommand(t, "status"); !strings.Contains(r.Stdout, "cannot be renewed: the token endpoint answered 503") {
		t.Errorf("status:\n%s", r.Stdout)
	}
	tokens.change(func() { tokens.trouble = nil })
	Eventually(t, "the health to pass", func() bool {
		s.Get(t, "/sales/a").WantStatus(t, 200)
		return strings.Contains(s.Get(t, "http://"+s.Probes+"/health").Body, `"healthy"`)
	})
}
