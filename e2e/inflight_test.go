package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestManyIdenticalPostsAreOneCall(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	const n = 200
	answers := postMany(t, s, n, func() {
		gate.WaitEntered(t)
		Eventually(t, "all calls to be in flight", func() bool { return inFlight(s.Metrics(t)) >= n })
		gate.Open()
	})
	up.WantCount(t, 1)
	replayed := 0
	for i, a := range answers {
		if a.Status != 201 || a.Body != answers[0].Body || a.Body == "" {
			t.Fatalf("answer %d is %d %q, answer 0 is %q; want all equal", i, a.Status, a.Body, answers[0].Body)
		}
		if a.Header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	if replayed != n-1 {
		t.Errorf("%d answers say Idempotency-Replayed, want %d", replayed, n-1)
	}
}

// inFlight sums every series of the metrics that counts exchanges in flight.
func inFlight(m Metrics) float64 {
	sum := 0.0
	for series, v := range m {
		if containsAll(series, "in_flight") || containsAll(series, "inflight") {
			sum += v
		}
	}
	return sum
}

// postMany makes n identical calls at once, runs meanwhile, and returns the answers; a call that was cut off has
// status 0.
func postMany(t *testing.T, s *Sidecar, n int, meanwhile func()) []Answer {
	t.Helper()
	answers := make([]Answer, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			answers[i], _ = s.Try(t.Context(), "POST", "/sales/orders", `{"a":1}`, keyOne)
		})
	}
	meanwhile()
	running.Wait()
	return answers
}

func TestWaitingBeyondTheDeadlineIs409(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	first := make(chan Answer, 1)
	go func() {
		a, _ := s.Try(t.Context(), "POST", "/sales/orders", "{}", keyOne)
		first <- a
	}()
	gate.WaitEntered(t)
	a := s.Do(t, "POST", "/sales/orders", "{}", keyOne, "X-Request-Timeout: 300ms")
	if p := a.WantProblem(t, 409, "idempotency-in-flight"); !p.Retryable {
		t.Errorf("not retryable, although the call may soon be finished")
	}
	if a.Took < 290*time.Millisecond || a.LetterID() != "" {
		t.Errorf("answered after %s with letter %q, want the wait of 300ms and none", a.Took, a.LetterID())
	}
	gate.Open()
	Receive(t, first, "the first call").WantStatus(t, 201)
	up.WantCount(t, 1)
}

// A call that fails while others wait for it must let one of them run, not answer all with a failure it invents.
func TestWaitersGoOnWhenTheFirstFails(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(Status(503)), numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off")})
	answers := postMany(t, s, 20, func() {
		gate.WaitEntered(t)
		Eventually(t, "all calls to be in flight", func() bool { return inFlight(s.Metrics(t)) >= 20 })
		gate.Open()
	})
	up.WantCount(t, 2)
	statuses := map[string]int{}
	for _, a := range answers {
		statuses[fmt.Sprint(a.Status, " ", a.Body)]++
	}
	if statuses[`503 upstream says Service Unavailable`] != 1 || statuses[`201 {"order":2}`] != 19 {
		t.Errorf("answers %v, want one 503 and 19 times the second call's", statuses)
	}
}
