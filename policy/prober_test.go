package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/oauth"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func withChecks(s *Settings) {
	s.Host.Health = &Health{Path: "/up?deep=1", Method: "GET", Expect: []string{"2xx"}, Interval: units.Duration(30 * time.Second), Timeout: units.Duration(5 * time.Second)}
}

// prober checks the system at a URL whose base path is /api.
func prober(t *testing.T, url string, edit ...func(*Settings)) *Prober {
	t.Helper()
	s := testSettings()
	for _, e := range append([]func(*Settings){withChecks}, edit...) {
		e(s)
	}
	p, err := NewProber(s, testHost(t, url+"/api", s), secret.NewResolver())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatAnAnswerToACheckMeans(t *testing.T) {
	for name, c := range map[string]struct {
		step    upstream.Step
		verdict Verdict
		why     string
		wait    time.Duration
	}{
		"200":                     {upstream.OK("fine"), Up, "", 0},
		"204":                     {upstream.Status(204), Up, "", 0},
		"a large body":            {upstream.OK(strings.Repeat("x", smallBody+1)), Up, "", 0},
		"a redirect":              {upstream.Status(302), Down, "it answered 302", 0},
		"404":                     {upstream.Status(404), Down, "it answered 404", 0},
		"503":                     {upstream.Status(503), Down, "it answered 503", 0},
		"503 with Retry-After":    {upstream.RetryAfter(upstream.Status(503), "120"), Down, "it answered 503", 2 * time.Minute},
		"429 with Retry-After":    {upstream.RetryAfter(upstream.Status(429), "120"), Unchecked, "it answered 429", 2 * time.Minute},
		"a Retry-After of a year": {upstream.RetryAfter(upstream.Status(503), "31536000"), Down, "it answered 503", maxCheckWait},
		"200 with Retry-After":    {upstream.RetryAfter(upstream.OK(""), "120"), Up, "", 0},
		"no answer":               {upstream.CloseAfterRead(), Down, "The external system closed the connection without an answer", 0},
		"half an answer":          {upstream.Truncate(100, 10), Down, "The external system's response ended before it was complete", 0},
		"no HTTP":                 {upstream.Malformed([]byte("what?\r\n\r\n")), Down, "The external system's response is not valid HTTP", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := prober(t, upstream.Always(t, c.step).URL())
			before, now := p.Check(t.Context())
			if before != (CheckState{}) || now.Verdict != c.verdict || now.Why != c.why || now.Wait != c.wait || now.At.IsZero() {
				t.Errorf("%+v", now)
			}
			if now.Since.IsZero() != (c.verdict == Unchecked) {
				t.Errorf("%s since %s", now.Verdict, now.Since)
			}
			if state, on := p.host.Checked(); !on || state != now {
				t.Errorf("remembered %+v", state)
			}
		})
	}
}

func TestACheckThatIsNotAnsweredInTimeFails(t *testing.T) {
	u := upstream.Always(t, upstream.Hang())
	p := prober(t, u.URL(), func(s *Settings) { s.Host.Health.Timeout = units.Duration(20 * time.Millisecond) })
	if _, now := p.Check(t.Context()); now.Verdict != Down || now.Why != "It did not answer within 20ms" {
		t.Errorf("%+v", now)
	}
}

func TestExpectedStatusesAreTheConfigurations(t *testing.T) {
	p := prober(t, upstream.Script(t, upstream.Status(401), upstream.OK(""), upstream.Status(429)).URL(), func(s *Settings) { s.Host.Health.Expect = []string{"401", "429"} })
	for n, want := range []Verdict{Up, Down, Up} {
		if _, now := p.Check(t.Context()); now.Verdict != want {
			t.Errorf("check %d: %+v", n, now)
		}
	}
}

func TestAVerdictIsKeptUntilItChanges(t *testing.T) {
	p := prober(t, upstream.Script(t, upstream.OK(""), upstream.OK(""), upstream.Status(429), upstream.Status(500), upstream.Status(429)).URL())
	var since []time.Time
	for n, want := range []Verdict{Up, Up, Up, Down, Down} {
		_, now := p.Check(t.Context())
		if now.Verdict != want {
			t.Errorf("check %d: %+v", n, now)
		}
		since = append(since, now.Since)
	}
	if since[0] != since[2] || since[2] == since[3] || since[3] != since[4] {
		t.Errorf("since %v", since)
	}
}

func TestACheckSendsNothingOfTheAdapter(t *testing.T) {
	u := upstream.Always(t, upstream.OK(""))
	p := prober(t, u.URL(), func(s *Settings) {
		s.Auth = &Auth{Bearer: keep(t, []byte("canary"))}
		s.Host.Health.Method = "HEAD"
	})
	p.Check(t.Context())
	q := u.Request(1)
	if q.Method != "HEAD" || q.Target != "/api/up?deep=1" || q.Fields.Get("User-Agent") != checkAgent || strings.Contains(string(q.Raw), "canary") || len(q.Fields) > 2 {
		t.Errorf("sent %s", q.Raw)
	}
}

func TestACheckSendsTheCredentialsWhenItShould(t *testing.T) {
	u := upstream.Always(t, upstream.OK(""))
	p := prober(t, u.URL(), func(s *Settings) {
		s.Auth = &Auth{Bearer: keep(t, []byte("canary"))}
		s.Host.Health.Auth = true
	})
	if p.Check(t.Context()); u.Request(1).Fields.Get("Authorization") != "Bearer canary" {
		t.Errorf("sent %s", u.Request(1).Raw)
	}
	p = prober(t, u.URL(), func(s *Settings) {
		s.Auth, s.Host.Health.Auth = &Auth{Bearer: "env:NOT_THERE"}, true
	})
	if _, now := p.Check(t.Context()); now.Verdict != Down || strings.Contains(now.Why, "NOT_THERE") || u.Hits() != 1 {
		t.Errorf("%+v after %d requests", now, u.Hits())
	}
	if p.host.NoCredentials() == "" {
		t.Error("calls would be refused, and health does not know")
	}
}

func TestACheckWithOAuth2BuysAToken(t *testing.T) {
	tokens := upstream.Always(t, upstream.JSON(200, `{"access_token":"bought","token_type":"Bearer","expires_in":600}`))
	u := upstream.Always(t, upstream.OK(""))
	p := prober(t, u.URL(), func(s *Settings) {
		s.Auth = &Auth{OAuth2: &OAuth2{TokenURL: tokens.URL(), ClientID: "me", ClientSecret: keep(t, []byte("s")), AuthStyle: "basic", Timeout: units.Duration(time.Second)}}
		s.Host.Health.Auth = true
	})
	if p.Check(t.Context()); u.Request(1).Fields.Get("Authorization") != "Bearer bought" || p.host.TokenFetches()[oauth.OK] != 1 {
		t.Errorf("sent %s", u.Request(1).Raw)
	}
}

// A check shares the connections of calls, and nothing that decides about them.
func TestAFailedCheckCostsNoCallAnything(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""), upstream.Status(500))
	settings := quick(withChecks, func(s *Settings) {
		s.Host.Breaker.FailureThreshold = 1
		s.Host.RateLimit = &RateLimit{Capacity: 5, RefillRate: 0.001, Per: "adapter"}
	})
	r := newRig(t, u.URL(), settings)
	p, err := NewProber(settings, r.host, secret.NewResolver())
	if err != nil {
		t.Fatal(err)
	}
	_ = r.call("GET", "/", "")
	tokens, _ := r.host.Limiter.Level()
	_, now := p.Check(t.Context())
	after, _ := r.host.Limiter.Level()
	if now.Verdict != Down || u.Request(2).Conn != u.Request(1).Conn {
		t.Errorf("%+v on connection %d", now, u.Request(2).Conn)
	}
	if r.host.Breaker.Failures() != 0 || r.host.Breaker.State() != BreakerClosed || after < tokens || r.host.LastFailure() != "" || r.host.InFlight() != 0 || r.host.budget.calls != 1 {
		t.Errorf("breaker %v with %d failures, %v tokens of %v, last failure %q, in flight %d, %d calls", r.host.Breaker.State(), r.host.Breaker.Failures(), after, tokens,
			r.host.LastFailure(), r.host.InFlight(), r.host.budget.calls)
	}
}

// Between two checks a provider ends idle connections; that is no outage.
func TestAConnectionThatWasIdleBetweenChecksIsNoOutage(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""), upstream.CloseAfterRead(), upstream.OK(""), upstream.CloseAfterRead(), upstream.CloseAfterRead())
	p := prober(t, u.URL())
	p.Check(t.Context())
	if _, now := p.Check(t.Context()); now.Verdict != Up || u.Hits() != 3 {
		t.Errorf("%+v after %d requests", now, u.Hits())
	}
	if _, now := p.Check(t.Context()); now.Verdict != Down || u.Hits() != 5 {
		t.Errorf("%+v after %d requests: it is asked twice at most", now, u.Hits())
	}
}

func TestACheckThatIsBrokenOffSaysNothing(t *testing.T) {
	p := prober(t, upstream.Always(t, upstream.Hang()).URL())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if before, now := p.Check(ctx); before != now || now != (CheckState{}) {
		t.Errorf("%+v", now)
	}
}

func TestChecksAreSpread(t *testing.T) {
	p := prober(t, "http://erp.test")
	distinct := map[time.Duration]bool{}
	for range 100 {
		if d := p.host.NextCheck(); d < 0 || d > 3*time.Second {
			t.Fatalf("the first after %s", d)
		}
		p.host.checks.state.Store(&CheckState{At: time.Now()})
		d := p.host.NextCheck()
		if distinct[d] = true; d < 27*time.Second || d > 33*time.Second {
			t.Fatalf("the next after %s", d)
		}
		p.host.checks.state.Store(new(CheckState))
	}
	if len(distinct) < 50 {
		t.Errorf("only %d different pauses", len(distinct))
	}
	p.host.checks.state.Store(&CheckState{At: time.Now(), Wait: time.Hour})
	if d := p.host.NextCheck(); d != time.Hour {
		t.Errorf("%s, although the provider asked for an hour", d)
	}
}

func TestAReloadKeepsWhatChecksFound(t *testing.T) {
	s := testSettings()
	withChecks(s)
	h := testHost(t, "http://erp.test", s)
	other := func(edit func(*Settings)) *Settings {
		s := testSettings()
		withChecks(s)
		edit(s)
		return s
	}
	for name, c := range map[string]struct {
		settings *Settings
		url      string
		same     bool
	}{
		"nothing changed":  {other(func(*Settings) {}), "http://erp.test", true},
		"another policy":   {other(func(s *Settings) { s.Retry = nil }), "http://erp.test", true},
		"another interval": {other(func(s *Settings) { s.Host.Health.Interval *= 2 }), "http://erp.test", false},
		"another upstream": {other(func(*Settings) {}), "http://erp2.test", false},
		"off":              {testSettings(), "http://erp.test", false},
	} {
		next := derive(t, h, c.settings, c.url)
		if h.SameChecks(next) != c.same {
			t.Errorf("%s: kept %v", name, !c.same)
		}
		if _, on := next.Checked(); on != (name != "off") {
			t.Errorf("%s: on %v", name, on)
		}
	}
}
