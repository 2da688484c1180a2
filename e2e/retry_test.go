package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const honoured = "idempotency: { honoured: true }"

func TestRetriesHealAFlakyProvider(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, Status(503), Status(503), OK("healed"))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
			s.Do(t, method, "/sales/a", "").WantStatus(t, 200)
			up.WantCount(t, 3)
			s.Metrics(t).Want(t, `integration_retries_total{adapter_id="sales"}`, 2)
		})
	}
}

// Each row is one call that meets first an answer and then, if it is tried again, a 200.
func TestWhoIsTriedAgain(t *testing.T) {
	t.Parallel()
	cases := []struct {
		method, policy string
		first          int
		again          bool
	}{
		{"GET", "", 500, true}, {"GET", "", 502, true}, {"GET", "", 504, true}, {"GET", "", 408, true}, {"GET", "", 425, true}, {"GET", "", 429, true},
		{"GET", "", 400, false}, {"GET", "", 401, false}, {"GET", "", 404, false}, {"GET", "", 409, false}, {"GET", "", 422, false},
		{"GET", "", 501, false}, {"GET", "", 505, false}, {"GET", "", 304, false}, {"GET", "", 302, false},
		{"POST", "", 429, true}, {"PATCH", "", 429, true}, {"POST", "", 500, false}, {"POST", "", 503, false}, {"PATCH", "", 503, false},
		{"POST", honoured, 503, true}, {"PATCH", honoured, 500, true}, {"POST", honoured, 400, false}, {"POST", honoured, 501, false},
		{"GET", "retry: off", 503, false}, {"POST", honoured + "\nretry: { max_retries: 0 }", 503, false},
		{"GET", "retry: { on: [network] }", 503, false},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s %d %s", c.method, c.first, c.policy), func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, Status(c.first), OK("second"))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, c.policy)})
			a := s.Do(t, c.method, "/sales/a", "")
			if c.again {
				up.WantCount(t, 2)
				a.WantStatus(t, 200)
				return
			}
			up.WantCount(t, 1)
			a.WantStatus(t, c.first)
		})
	}
}

func TestExhaustionGivesTheLastResponse(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), Status(502), Status(503, "X-Last: yes"), OK("surplus"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	a := s.Get(t, "/sales/a")
	a.WantStatus(t, 503)
	up.WantCount(t, 3)
	if a.Header.Get("X-Last") != "yes" || a.Body != "upstream says Service Unavailable" {
		t.Errorf("the application got %v %q, want the last response unchanged", a.Header, a.Body)
	}
}

func TestNothingSentIsTriedAgainForEveryMethod(t *testing.T) {
	t.Parallel()
	methods := []string{"GET", "POST", "PATCH", "PUT"}
	var adapters string // one per method: a retry budget of three a second is an adapter's
	for _, method := range methods {
		adapters += Adapter(strings.ToLower(method), "http://"+FreeAddr(t))
	}
	s := Start(t, Setup{Adapters: adapters})
	for _, method := range methods {
		a := s.Do(t, method, "/"+strings.ToLower(method)+"/a", "")
		p := a.WantProblem(t, 502, "upstream-unreachable")
		if p.Attempts != 3 {
			t.Errorf("%s to a refused connection: %d attempts, want 3", method, p.Attempts)
		}
		if p.AdapterID != strings.ToLower(method) || !p.Retryable {
			t.Errorf("%s: adapter_id %q retryable %v, want its own and true", method, p.AdapterID, p.Retryable)
		}
		if got := a.LetterID() != ""; got != (method != "GET") {
			t.Errorf("%s: letter %q", method, a.LetterID())
		}
	}
}

func TestAttemptTimeoutIsTriedAgain(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("late")), OK("in time"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 200ms }")})
	a := s.Get(t, "/sales/a")
	a.WantStatus(t, 200)
	up.WantCount(t, 2)
	Receive(t, gate.Left, "the sidecar to leave the attempt that timed out")
}

func TestAttemptTimeoutOfAPostIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("late")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 200ms }")})
	a := s.Post(t, "/sales/a", `{"a":1}`)
	a.WantProblem(t, 504, "upstream-timeout")
	up.WantCount(t, 1)
	if l := s.Letter(t, a.LetterID()); l.Error.Type != "outcome_unknown" {
		t.Errorf("letter type %q, want outcome_unknown: the provider may have done it", l.Error.Type)
	}
}

func TestTotalTimeoutEndsTheRetries(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 300ms, total: 500ms }",
		"retry: { max_retries: 20, initial_delay: 400ms, max_delay: 400ms }")})
	a := s.Get(t, "/sales/a")
	a.WantStatus(t, 503)
	if a.Header.Get("Content-Type") == "application/problem+json" || up.Count() > 2 {
		t.Errorf("%d attempts and %q, want the last real answer within the deadline", up.Count(), a.Body)
	}
	if a.Took > 5*time.Second {
		t.Errorf("answered after %s with a total timeout of 500ms", a.Took)
	}
}

func TestBudgetKeepsRetriesFromMultiplying(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: { max_retries: 5, initial_delay: 1ms, max_delay: 1ms }")})
	const calls = 300
	start := time.Now()
	for range calls {
		s.Do(t, http.MethodGet, "/sales/a", "").WantStatus(t, 503)
	}
	retries := up.Count() - calls
	allowed := int(0.2*calls) + 3*int(time.Since(start)/time.Second+2)
	if retries < 3 || retries > allowed {
		t.Errorf("%d retries for %d calls, want between 3 and %d (20 %% of the calls and 3 a second)", retries, calls, allowed)
	}
}
