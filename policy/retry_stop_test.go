package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// What ends the attempts before they are used up, and what the application gets then.
func TestTheLastRealOutcomeStandsWhenAttemptsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []outcome
		setup    func(*Exchange, *Host)
		status   int
		kind     problem.Kind
	}{
		"the breaker opens between attempts": {
			outcomes: []outcome{answered(503), stopped(problem.CircuitOpen)}, status: 503},
		"our limit is reached between attempts": {
			outcomes: []outcome{answered(429), stopped(problem.RateLimited)}, status: 429},
		"the credentials vanish between attempts": {
			outcomes: []outcome{answered(503), stopped(problem.CredentialsUnavailable)}, status: 503},
		"the breaker opens after a broken attempt": {
			outcomes: []outcome{broke(problem.UpstreamUnreachable, true), stopped(problem.CircuitOpen)}, kind: problem.UpstreamUnreachable},
		"the breaker opens after a later answer": {
			outcomes: []outcome{answered(500), answered(502), stopped(problem.CircuitOpen)}, status: 502},
		"the delay does not fit the deadline": {
			outcomes: []outcome{answered(503)}, status: 503,
			setup: func(x *Exchange, _ *Host) { x.Deadline = time.Now().Add(time.Second) }},
		"Retry-After is longer than what is left": {
			outcomes: []outcome{answered(503, "Retry-After", "121")}, status: 503},
		"Retry-After is longer than any number": {
			outcomes: []outcome{answered(503, "Retry-After", "99999999999999999999999")}, status: 503},
		"the budget is spent": {
			outcomes: []outcome{answered(503)}, status: 503, setup: func(_ *Exchange, h *Host) { exhaust(h.budget) }},
		"the deadline ends an attempt under way": {
			outcomes: []outcome{answered(503), broke(problem.TotalTimeout, true)}, kind: problem.TotalTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testSettings()
				host, chain, x := testHost(t, "", s), play(t, c.outcomes...), testExchange(t, "GET", "/", "")
				if c.setup != nil {
					c.setup(x, host)
				}
				resp, err := attempts(s, host)(chain.next)(x)
				chain.calls(len(c.outcomes))
				if kindOf(err) != c.kind || c.status != 0 && (resp == nil || resp.Status != c.status) {
					t.Fatalf("got %v, %v; want %d %s", resp, err, c.status, c.kind)
				}
				if resp != nil && chain.bodies[len(chain.bodies)-1].closed {
					t.Error("the answer that was passed on is closed")
				}
			})
		})
	}
}

func exhaust(b *budget) {
	for b.retry(0) {
	}
}

func TestASpentBudgetIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		host := testHost(t, "", s)
		exhaust(host.budget)
		x := testExchange(t, "GET", "/", "")
		_, _ = attempts(s, host)(play(t, answered(503)).next)(x)
		if x.RetriesEnded != "budget" {
			t.Error("not noted")
		}
	})
}

func TestAnApplicationThatLeavesEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		x, chain := testExchange(t, "GET", "/", ""), play(t, answered(503, "Retry-After", "100"))
		cancel := cancelable(x)
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		resp, err := attempts(s, testHost(t, "", s))(chain.next)(x)
		if resp != nil || err != ErrCanceled || time.Since(start) != 3*time.Second {
			t.Errorf("got %v, %v after %v", resp, err, time.Since(start))
		}
		if !chain.bodies[0].closed {
			t.Error("the answer nobody reads is not closed")
		}
	})
}

func TestAWriteThatWasSentAndNotAnsweredHasAnUnknownOutcome(t *testing.T) {
	reset := func() outcome { return broke(problem.UpstreamUnreachable, true) }
	refused := func() outcome { return broke(problem.UpstreamUnreachable, false) }
	cut := outcome{err: ErrCanceled, sent: true}
	four := func(o func() outcome) []outcome { return []outcome{o(), o(), o(), o()} }
	for name, c := range map[string]struct {
		method   string
		honoured bool
		outcomes []outcome
		leaves   bool // the application, after the last outcome
		unknown  bool
	}{
		"POST reset":                           {"POST", false, []outcome{reset()}, false, true},
		"PATCH timeout":                        {"PATCH", false, []outcome{broke(problem.UpstreamTimeout, true)}, false, true},
		"POST total timeout":                   {"POST", false, []outcome{broke(problem.TotalTimeout, true)}, false, true},
		"POST truncated":                       {"POST", false, []outcome{broke(problem.BadUpstreamResponse, true)}, false, true},
		"POST refused, then reset":             {"POST", false, []outcome{refused(), reset()}, false, true},
		"POST 429, then reset":                 {"POST", false, []outcome{answered(429), reset()}, false, true},
		"POST never sent":                      {"POST", false, four(refused), false, false},
		"POST answered 503":                    {"POST", false, []outcome{answered(503)}, false, false},
		"POST breaker open":                    {"POST", false, []outcome{stopped(problem.CircuitOpen)}, false, false},
		"POST reset, keys honoured":            {"POST", true, four(reset), false, false},
		"PUT reset":                            {"PUT", false, four(reset), false, false},
		"GET reset":                            {"GET", false, four(reset), false, false},
		"POST cut by the application":          {"POST", false, []outcome{cut}, false, true},
		"PUT cut by the application":           {"PUT", false, []outcome{cut}, false, true},
		"GET cut by the application":           {"GET", false, []outcome{cut}, false, false},
		"POST cut before it was sent":          {"POST", false, []outcome{{err: ErrCanceled}}, false, false},
		"POST reset, then the application":     {"POST", true, []outcome{reset()}, true, true},
		"POST answered, then the application":  {"POST", true, []outcome{answered(503)}, true, false},
		"POST reset, refused, the application": {"POST", true, []outcome{reset(), refused()}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testSettings()
				s.Idempotency.Honoured = c.honoured
				x, chain := testExchange(t, c.method, "/", "{}"), play(t, c.outcomes...)
				x.Key.Value = "k"
				cancel := cancelable(x)
				if c.leaves {
					last := &chain.outcomes[len(chain.outcomes)-1]
					last.before = func(*Exchange) { time.AfterFunc(time.Millisecond, cancel) }
				}
				resp, err := attempts(s, testHost(t, "", s))(chain.next)(x)
				resp.Close()
				cancel()
				if x.Unknown != c.unknown {
					t.Errorf("unknown: %v, want %v (%v)", x.Unknown, c.unknown, err)
				}
				p, ok := err.(*problem.Problem)
				if ok && (p.ErrorType() == problem.TypeOutcomeUnknown) != c.unknown {
					t.Errorf("error type %s", p.ErrorType())
				}
				if ok && c.unknown && p.Retryable() {
					t.Error("an outcome that is not known is called retryable")
				}
			})
		})
	}
}
