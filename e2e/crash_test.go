package e2e

import (
	"context"
	"testing"
)

// crashMidCall lets n identical POSTs reach the sidecar, kills it while the provider works on the one it got, and
// starts it again.
func crashMidCall(t *testing.T, n int, policy string) (*Sidecar, *Upstream) {
	t.Helper()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered), numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, policy)})
	answers := postMany(t, s, n, func() {
		gate.WaitEntered(t)
		Eventually(t, "all calls to be in flight", func() bool { return inFlight(s.Metrics(t)) >= float64(n) })
		s.Kill9()
	})
	for _, a := range answers {
		if a.Status != 0 {
			t.Fatalf("an answer %d %q came from a sidecar that was killed in mid-call", a.Status, a.Body)
		}
	}
	up.WantCount(t, 1)
	s.Restart()
	return s, up
}

func TestCrashMidCallNeverActsTwice(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"one call": 1, "200 calls": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, up := crashMidCall(t, n, "idempotency: { honoured: false }")
			letters := map[string]bool{}
			for _, a := range postMany(t, s, n, func() {}) {
				p := a.WantProblem(t, 409, "outcome-unknown")
				letters[p.LetterID] = true
				if p.Retryable {
					t.Errorf("outcome-unknown is said to be retryable")
				}
			}
			up.WantCount(t, 1)
			if len(letters) != 1 || letters[""] {
				t.Fatalf("the answers name the letters %v, want the same one", letters)
			}
			for id := range letters {
				l := s.Letter(t, id)
				if l.Error.Type != "outcome_unknown" || l.Metadata.IdempotencyKey != "key-1" || string(l.OriginalMessage.Body) != `{"a":1}` {
					t.Errorf("letter %s: type %q key %q body %q", id, l.Error.Type, l.Metadata.IdempotencyKey, l.OriginalMessage.Body)
				}
			}
		})
	}
}

func TestCrashMidCallIsSentAgainToAnHonouringProvider(t *testing.T) {
	t.Parallel()
	s, up := crashMidCall(t, 1, honoured)
	a := s.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	a.WantStatus(t, 201)
	for _, h := range up.WantCount(t, 2) {
		if got := h.Header.Get("X-Idempotency-Key"); got != "key-1" {
			t.Errorf("hit %d carried the key %q, want key-1 each time", h.N, got)
		}
	}
	s.Post(t, "/sales/orders", `{"a":1}`, keyOne).WantStatus(t, 201)
	up.WantCount(t, 2)
}

// The first try may still be unknown because nobody answered, without any crash.
func TestUnansweredPostBlocksItsKey(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Drop, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	first := s.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	if first.LetterID() == "" {
		t.Fatalf("status %d without a letter", first.Status)
	}
	p := s.Post(t, "/sales/orders", `{"a":1}`, keyOne).WantProblem(t, 409, "outcome-unknown")
	if p.LetterID != first.LetterID() {
		t.Errorf("409 names the letter %q, want %q of the first call", p.LetterID, first.LetterID())
	}
	up.WantCount(t, 1)
}

// A write whose caller went away while it was in flight has an outcome nobody knows.
func TestAbandonedPostLeavesALetter(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered), numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-gate.Entered
		cancel()
	}()
	if _, err := s.Try(ctx, "POST", "/sales/orders", `{"a":1}`, keyOne); err == nil {
		t.Fatalf("the call was answered although its caller left")
	}
	var p Problem
	Eventually(t, "the abandoned call to be known as of unknown outcome", func() bool {
		a := s.Do(t, "POST", "/sales/orders", `{"a":1}`, keyOne, "X-Request-Timeout: 1s")
		if a.Kind() == "idempotency-in-flight" {
			return false
		}
		p = a.WantProblem(t, 409, "outcome-unknown")
		return true
	})
	if l := s.Letter(t, p.LetterID); l.Error.Type != "outcome_unknown" {
		t.Errorf("letter type %q, want outcome_unknown", l.Error.Type)
	}
	up.WantCount(t, 1)
}
