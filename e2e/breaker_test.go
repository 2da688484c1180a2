package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

func breakerPolicy(failures, successes int, reset time.Duration) string {
	return fmt.Sprintf("retry: off\nbreaker: { failure_threshold: %d, success_threshold: %d, reset_timeout: %s }", failures, successes, reset)
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500), Status(500), OK("ok"), Status(500), Status(502), Status(503), OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(3, 1, time.Minute))})
	for i, want := range []int{500, 500, 200, 500, 502, 503} {
		if a := s.Get(t, "/sales/a"); a.Status != want {
			t.Fatalf("call %d: status %d, want %d: a success starts the count anew", i+1, a.Status, want)
		}
	}
	a := s.Post(t, "/sales/a", "{}")
	p := a.WantProblem(t, 503, "circuit-open")
	up.WantCount(t, 6)
	if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 50 || after > 75 {
		t.Errorf("Retry-After %q, want about the 60 seconds until it probes", a.Header.Get("Retry-After"))
	}
	if p.Attempts != 0 || !p.Retryable {
		t.Errorf("attempts %d retryable %v, want 0 and true", p.Attempts, p.Retryable)
	}
	if a.LetterID() == "" {
		t.Errorf("no letter for a POST that met an open breaker, which dlq.on holds")
	} else if l := s.Letter(t, a.LetterID()); l.Error.Type != "circuit_open" {
		t.Errorf("letter type %q, want circuit_open", l.Error.Type)
	}
	if state := s.BreakerState(t, "sales"); state != 2 {
		t.Errorf("integration_circuit_breaker_state %v, want 2", state)
	}
}

func TestWhatIsNoBreakerFailure(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(400), Status(404), Status(408), Status(425), Status(429), Status(501), Status(505), Status(422), OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(2, 1, time.Minute))})
	for _, want := range []int{400, 404, 408, 425, 429, 501, 505, 422, 200} {
		s.Get(t, "/sales/a").WantStatus(t, want)
	}
}

func TestConnectionFailuresAndTimeoutsOpenTheBreaker(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	hung := NewUpstream(t, gate.Hold(OK("late")))
	truncated := Canned(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
	s := Start(t, Setup{Adapters: Adapter("refused", "http://"+FreeAddr(t), breakerPolicy(2, 1, time.Minute)) +
		Adapter("hung", hung.URL, breakerPolicy(2, 1, time.Minute), "timeout: { attempt: 100ms }") +
		Adapter("truncated", truncated.URL, breakerPolicy(2, 1, time.Minute))})
	for _, name := range []string{"refused", "hung", "truncated"} {
		for range 2 {
			_, _ = s.Try(t.Context(), "GET", "/"+name+"/a", "") // a truncated answer may come as a broken one
		}
		s.Get(t, "/"+name+"/a").WantProblem(t, 503, "circuit-open")
	}
}

func TestBreakerThatOpensBetweenAttemptsGivesTheLastAnswer(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500, "X-Real: yes"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: { max_retries: 10, initial_delay: 10ms }",
		"breaker: { failure_threshold: 2, reset_timeout: 60s }")})
	a := s.Get(t, "/sales/a")
	a.WantStatus(t, 500)
	if a.Header.Get("X-Real") != "yes" {
		t.Errorf("the application got %q, want the provider's own last answer", a.Body)
	}
	up.WantCount(t, 2)
}

func TestOneBreakerDoesNotStopAnotherAdapter(t *testing.T) {
	t.Parallel()
	bad, good := NewUpstream(t, Status(500)), NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("bad", bad.URL, breakerPolicy(1, 1, time.Minute)) + Adapter("good", good.URL, breakerPolicy(1, 1, time.Minute))})
	s.Get(t, "/bad/a").WantStatus(t, 500)
	s.Get(t, "/bad/a").WantProblem(t, 503, "circuit-open")
	s.Get(t, "/good/a").WantStatus(t, 200)
}

func TestBreakerCommands(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, breakerPolicy(2, 1, 10*time.Millisecond)) + Adapter("free", up.URL, "breaker: off")})
	s.MustCommand(t, "breaker", "open", "sales")
	for start := time.Now(); time.Since(start) < 20*10*time.Millisecond; { // by hand means until by hand, not until reset_timeout
		s.Get(t, "/sales/a").WantProblem(t, 503, "circuit-open")
	}
	up.WantCount(t, 0)
	if state := s.BreakerState(t, "sales"); state != 2 {
		t.Errorf("integration_circuit_breaker_state %v after breaker open, want 2", state)
	}
	if r := s.MustCommand(t, "status"); !containsAll(r.Stdout, "sales", "open") {
		t.Errorf("status does not show the open breaker:\n%s", r.Stdout)
	}
	s.MustCommand(t, "breaker", "close", "sales")
	s.Get(t, "/sales/a").WantStatus(t, 200)
	s.MustCommand(t, "breaker", "open", "sales")
	s.MustCommand(t, "breaker", "reset", "sales")
	s.Get(t, "/sales/a").WantStatus(t, 200)
	for adapter, code := range map[string]int{"unknown": 2, "free": 1} {
		if r := s.Command(t, "breaker", "open", adapter); r.Code != code || r.Stderr == "" {
			t.Errorf("breaker open %s: code %d and %q, want %d and a reason", adapter, r.Code, r.Stderr, code)
		}
	}
}
