package policy

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// refusedToken is a 401 after which another token is to be had.
func refusedToken() outcome {
	o := answered(401)
	o.before = func(x *Exchange) { x.refused = true }
	return o
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	streamed := func(x *Exchange) { x.Request.Body.Stream = io.NopCloser(strings.NewReader("b")) }
	for name, c := range map[string]struct {
		outcomes []outcome
		edit     func(*Exchange)
		calls    int
		status   int
		ended    string
	}{
		"a fresh one is taken":           {outcomes: []outcome{refusedToken(), answered(200)}, calls: 2, status: 200},
		"a fresh one is refused too":     {outcomes: []outcome{refusedToken(), refusedToken()}, calls: 2, status: 401},
		"there is no other":              {outcomes: []outcome{answered(401)}, calls: 1, status: 401},
		"no other can be fetched":        {outcomes: []outcome{refusedToken(), stopped(problem.CredentialsUnavailable)}, calls: 2, status: 401, ended: "credentials-unavailable"},
		"the limit is reached":           {outcomes: []outcome{refusedToken(), stopped(problem.RateLimited)}, calls: 2, status: 401, ended: "rate-limited"},
		"the breaker has opened":         {outcomes: []outcome{refusedToken(), stopped(problem.CircuitOpen)}, calls: 2, status: 401, ended: "circuit-open"},
		"the time is over":               {outcomes: []outcome{refusedToken(), stopped(problem.TotalTimeout)}, calls: 2, status: 401, ended: "total-timeout"},
		"the body cannot be sent again":  {outcomes: []outcome{refusedToken()}, edit: streamed, calls: 1, status: 401},
		"after a retry":                  {outcomes: []outcome{answered(503), refusedToken(), answered(200)}, calls: 3, status: 200},
		"before a retry":                 {outcomes: []outcome{refusedToken(), answered(503), answered(200)}, calls: 3, status: 200},
		"a retry brings another refusal": {outcomes: []outcome{refusedToken(), answered(503), refusedToken()}, calls: 3, status: 401},
	} {
		for _, method := range []string{"GET", "PUT"} {
			t.Run(method+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testSettings()
					withTokens("https://login.test")(s)
					chain, x := play(t, c.outcomes...), testExchange(t, method, "/", "body")
					if c.edit != nil {
						c.edit(x)
					}
					resp, err := attempts(s, testHost(t, "", s))(renewToken(s.Auth)(chain.next))(x)
					chain.calls(c.calls)
					if err != nil || resp.Status != c.status || x.RetriesEnded != c.ended {
						t.Fatalf("%v, %v, ended by %q", resp, err, x.RetriesEnded)
					}
					for i, b := range chain.bodies {
						if last := i == len(chain.bodies)-1; b.closed == last {
							t.Errorf("answer %d: closed %v", i+1, b.closed)
						}
					}
				})
			})
		}
	}
}

func TestAWriteThatWasRefusedForItsTokenGoesAgainWithoutRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Retry = nil
		withTokens("https://login.test")(s)
		chain, x := play(t, refusedToken(), answered(201)), testExchange(t, "POST", "/", "body")
		start := time.Now()
		resp, err := attempts(s, testHost(t, "", s))(renewToken(s.Auth)(chain.next))(x)
		if err != nil || resp.Status != 201 || len(x.Attempts) != 2 || time.Since(start) != 0 {
			t.Errorf("%v, %v after %d attempts and %s", resp, err, len(x.Attempts), time.Since(start))
		}
	})
}

func TestTwoSendsCostTwoTokensOfTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		withTokens("https://login.test")(s)
		s.Host.RateLimit = &RateLimit{Capacity: 5, RefillRate: 0.001, Per: "adapter", StoreDown: "local"}
		h, chain := testHost(t, "", s), play(t, refusedToken(), answered(200))
		resp, err := renewToken(s.Auth)(limitStage(h)(breakStage(h)(chain.next)))(testExchange(t, "POST", "/", ""))
		if left, _ := h.Limiter.Level(); err != nil || resp.Status != 200 || left < 2.9 || left > 3.1 {
			t.Errorf("%v, %v; %g tokens of 5 are left", resp, err, left)
		}
	})
}

func TestRenewingIsAStageOfTokensAlone(t *testing.T) {
	if renewToken(nil) != nil || renewToken(&Auth{Bearer: "env:A"}) != nil {
		t.Error("a secret that cannot be renewed has the stage")
	}
}
