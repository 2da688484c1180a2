package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBurstIsTheCapacityAndThen429(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "rate_limit: { capacity: 5, refill_rate: 0.1 }")})
	for range 5 {
		s.Post(t, "/sales/a", "{}").WantStatus(t, 200)
	}
	for range 3 {
		a := s.Post(t, "/sales/a", "{}")
		p := a.WantProblem(t, 429, "rate-limited")
		if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 || after > 11 {
			t.Errorf("Retry-After %q, want the seconds until the next token, at most 10", a.Header.Get("Retry-After"))
		}
		if !hasRateLimitField(a.Header) {
			t.Errorf("no RateLimit field on a 429: %v", a.Header)
		}
		if p.Attempts != 0 || !p.Retryable || a.LetterID() != "" || p.LetterID != "" {
			t.Errorf("attempts %d retryable %v letter %q, want 0, true and none", p.Attempts, p.Retryable, a.LetterID())
		}
	}
	up.WantCount(t, 5)
	m := s.Metrics(t)
	m.Want(t, `integration_errors_total{adapter_id="sales",error_type="rate_limited"}`, 3)
	m.Want(t, `integration_circuit_breaker_state{adapter_id="sales"}`, 0)
}

func hasRateLimitField(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Ratelimit") {
			return true
		}
	}
	return false
}

func TestMaxWaitSmoothsABurst(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "rate_limit: { capacity: 2, refill_rate: 20, max_wait: 10s }")})
	start := time.Now()
	var c callers
	c.start(t, s, 16, "/sales/a")
	c.running.Wait()
	if c.got(200) != 16 {
		t.Errorf("%d of 16 calls succeeded; all fit max_wait", c.got(200))
	}
	if took := time.Since(start); took < 650*time.Millisecond {
		t.Errorf("16 calls passed in %s; 2 tokens and 20 a second give 14 waits of 50ms", took)
	}
}

func TestAWaitLongerThanMaxWaitIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "rate_limit: { capacity: 1, refill_rate: 0.1, max_wait: 5s }")})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	a := s.Get(t, "/sales/a")
	a.WantProblem(t, 429, "rate-limited")
	if a.Took > 4*time.Second {
		t.Errorf("refused after %s: the token comes in 10s, so waiting 5s could not help", a.Took)
	}
}

func TestTenantsHaveBucketsOfTheirOwn(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "rate_limit: { capacity: 3, refill_rate: 0.01, per: tenant }")})
	for _, tenant := range []string{"acme", "globex", ""} {
		for range 3 {
			s.Get(t, "/sales/a", "X-Tenant-ID: "+tenant).WantStatus(t, 200)
		}
	}
	for _, tenant := range []string{"acme", "globex", ""} {
		s.Get(t, "/sales/a", "X-Tenant-ID: "+tenant).WantProblem(t, 429, "rate-limited")
	}
	up.WantCount(t, 9)
}

func TestRetriesTakeTokensToo(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503, "X-Real: yes"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: { max_retries: 5, initial_delay: 1ms, max_delay: 1ms, budget: 100% }",
		"timeout: { attempt: 1s, total: 2s }", "rate_limit: { capacity: 2, refill_rate: 0.01 }")})
	a := s.Get(t, "/sales/a")
	a.WantStatus(t, 503)
	if a.Header.Get("X-Real") != "yes" {
		t.Errorf("the application got %q, want the provider's last answer when no token comes within the deadline", a.Body)
	}
	up.WantCount(t, 2)
}
