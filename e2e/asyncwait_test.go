package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWhatTheBreakerStopsWaitsForIt(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	s.MustCommand(t, "breaker", "open", "sales")
	location := s.accepted(t, "{}")
	Eventually(t, "a try to be put back", func() bool { return strings.Contains(s.Log.String(), `"put_back":true`) })
	Eventually(t, "the metric to count it", func() bool { // the log tells of the try before the exchange is put back
		return s.Metrics(t)[`integration_accepted_exchanges{adapter_id="sales",state="accepted"}`] == 1
	})
	if x := s.exchange(t, location); x.State != "accepted" || x.Attempts != 0 {
		t.Errorf("behind an open breaker it is %+v", x)
	}
	up.WantCount(t, 0)
	s.MustCommand(t, "breaker", "close", "sales") // long before the minute that the exchange was put back for
	s.ended(t, location, "delivered")
	up.WantCount(t, 1)
	if letters := s.Letters(t); len(letters) != 0 {
		t.Errorf("%d letters", len(letters))
	}
}

func TestAcceptedExchangesWaitForTheirTokens(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async, "rate_limit: { capacity: 1, refill_rate: 20 }")})
	start := time.Now()
	var locations []string
	for range 20 {
		locations = append(locations, s.accepted(t, "{}"))
	}
	for _, l := range locations {
		s.ended(t, l, "delivered")
	}
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("20 exchanges were delivered within %s, want 19 tokens of 20 a second", took)
	}
}

func TestWhatIsTooOldIsGivenUpAndItsEndExpires(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "delivery: async\nidempotency: { ttl: 3s }", "breaker: { reset_timeout: 1s }")})
	s.MustCommand(t, "breaker", "open", "sales")
	location := s.accepted(t, "{}")
	x := s.ended(t, location, "failed")
	up.WantCount(t, 0)
	if x.Problem == nil || x.Problem.Type != problemPrefix+"total-timeout" || !strings.Contains(x.Problem.Detail, "circuit-open") || x.LetterID == "" {
		t.Fatalf("it is %+v, %+v", x, x.Problem)
	}
	if l := s.Letter(t, x.LetterID); l.Error.Type != "timeout" {
		t.Errorf("letter type %q", l.Error.Type)
	}
	Eventually(t, "its end to expire", func() bool { return s.Get(t, location).Status == 404 })
	s.Get(t, location).WantProblem(t, 404, "exchange-not-found")
}

func TestNothingIsAcceptedWithoutRoom(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{DLQ: "max_bytes: 1MiB", Adapters: Adapter("sales", up.URL, async)})
	s.MustCommand(t, "breaker", "open", "sales")
	body := strings.Repeat("x", 100<<10)
	var locations []string
	for i := range 20 {
		a := s.Post(t, "/sales/orders", body, fmt.Sprint("X-Idempotency-Key: k", i))
		if a.Status == 202 {
			locations = append(locations, a.Header.Get("Location"))
			continue
		}
		p := a.WantProblem(t, 503, "spool-unavailable")
		if a.Header.Get("Retry-After") == "" || !p.Retryable || p.Attempts != 0 {
			t.Errorf("the refusal is %+v, Retry-After %q", p, a.Header.Get("Retry-After"))
		}
	}
	if len(locations) < 8 || len(locations) > 10 {
		t.Errorf("%d calls of 100 KiB accepted with max_bytes of 1 MiB", len(locations))
	}
	up.WantCount(t, 0)
	s.Kill9()
	s.Restart()
	for _, l := range locations {
		s.ended(t, l, "delivered")
	}
	s.accepted(t, body) // what has ended makes way
	if info, err := os.Stat(filepath.Join(s.SpoolDir(), "exchanges.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("exchanges.db: %v %v", info, err)
	}
}

// A spool that is full loses nothing of what was accepted: its letter waits for room.
func TestAnAcceptedExchangeWaitsForRoomForItsLetter(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{DLQ: "max_bytes: 1MiB", Adapters: Adapter("erp", up.URL, "retry: off") + Adapter("sales", up.URL, async, "retry: off")})
	body := strings.Repeat("x", 100<<10)
	var letter string
	Eventually(t, "the spool to be full", func() bool {
		a := s.Post(t, "/erp/orders", body)
		if a.LetterID() != "" {
			letter = a.LetterID()
		}
		return a.Header.Get("X-Dead-Letter") == "unavailable"
	})
	location := s.accepted(t, body)
	Eventually(t, "the letter not to be taken", func() bool { return strings.Contains(s.Log.String(), "could not be kept and is tried again") })
	if x := s.exchange(t, location); x.State != "accepted" && x.State != "running" {
		t.Errorf("without a letter it is %+v", x)
	}
	s.MustCommand(t, "dlq", "discard", letter)
	x := s.ended(t, location, "failed")
	if l := s.Letter(t, x.LetterID); x.Status != 500 || l.Error.Type != "server_error" || string(l.OriginalMessage.Body) != body {
		t.Errorf("it is %+v, the letter's error %+v", x, l.Error)
	}
}

func TestDrainFinishesDeliveriesAndKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(Status(201)))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	first := s.accepted(t, "1", "X-Order-Key: a")
	second := s.accepted(t, "2", "X-Order-Key: a")
	gate.WaitEntered(t)
	s.Term()
	Eventually(t, "/readyz to say no", func() bool { return s.readyStatus() == http.StatusServiceUnavailable })
	gate.Open()
	if code := s.Wait(patience); code != 0 {
		t.Errorf("exit code %d after draining, want 0", code)
	}
	up.WantCount(t, 1)
	s.Restart()
	s.ended(t, first, "delivered")
	s.ended(t, second, "delivered")
	up.WantCount(t, 2)
}

// A wait for a retry does not outlast the beginning of a drain; the call is made after the next start.
func TestDrainPutsBackWhatWaitsForARetry(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, asyncHonours, "retry: { initial_delay: 15s, max_delay: 15s }")})
	location := s.accepted(t, "{}")
	Eventually(t, "the first attempt", func() bool { return up.Count() == 1 })
	s.Term()
	if code := s.Wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d after draining, want 0", code)
	}
	s.Restart()
	if x := s.ended(t, location, "delivered"); x.Attempts != 2 {
		t.Errorf("delivered it is %+v, want 2 attempts", x)
	}
	if letters := s.Letters(t); len(letters) != 0 {
		t.Errorf("%d letters", len(letters))
	}
}
