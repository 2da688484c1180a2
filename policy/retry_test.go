package policy

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// tryAgain is the condition under which the contract allows another attempt after an outcome.
type tryAgain int

const (
	never  tryAgain = iota
	always          // nothing was sent, or the answer was 429
	safely          // the method is safe to send twice, or the provider honours the key
)

var afterOutcome = []struct {
	name    string
	outcome func() outcome
	again   tryAgain
}{
	{"200", func() outcome { return answered(200) }, never},
	{"304", func() outcome { return answered(304) }, never},
	{"400", func() outcome { return answered(400) }, never},
	{"409", func() outcome { return answered(409) }, never},
	{"501", func() outcome { return answered(501) }, never},
	{"505", func() outcome { return answered(505) }, never},
	{"408", func() outcome { return answered(408) }, safely},
	{"425", func() outcome { return answered(425) }, safely},
	{"429", func() outcome { return answered(429) }, always},
	{"500", func() outcome { return answered(500) }, safely},
	{"503", func() outcome { return answered(503) }, safely},
	{"refused", func() outcome { return broke(problem.UpstreamUnreachable, false) }, always},
	{"reset", func() outcome { return broke(problem.UpstreamUnreachable, true) }, safely},
	{"timeout before anything was sent", func() outcome { return broke(problem.UpstreamTimeout, false) }, always},
	{"timeout", func() outcome { return broke(problem.UpstreamTimeout, true) }, safely},
	{"truncated", func() outcome { return broke(problem.BadUpstreamResponse, true) }, safely},
	{"total timeout", func() outcome { return broke(problem.TotalTimeout, true) }, never},
	{"circuit open", func() outcome { return stopped(problem.CircuitOpen) }, never},
	{"rate limited here", func() outcome { return stopped(problem.RateLimited) }, never},
	{"credentials", func() outcome { return stopped(problem.CredentialsUnavailable) }, never},
}

func TestWhatIsTriedAgain(t *testing.T) {
	safe := []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
	for _, method := range append(slices.Clone(safe), "POST", "PATCH") {
		for _, honoured := range []bool{false, true} {
			for _, row := range afterOutcome {
				t.Run(fmt.Sprintf("%s honoured=%v after %s", method, honoured, row.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						want := row.again == always || row.again == safely && (honoured || slices.Contains(safe, method))
						tryOnce(t, method, honoured, row.outcome(), want)
					})
				})
			}
		}
	}
}

// tryOnce plays an outcome and then a success, which only another attempt sees.
func tryOnce(t *testing.T, method string, honoured bool, first outcome, again bool) {
	s := testSettings()
	s.Idempotency.Honoured = honoured
	chain := play(t, first, answered(200))
	x := testExchange(t, method, "/orders", "")
	x.Key.Value = "k"
	resp, err := attempts(s, testHost(t, "", s))(chain.next)(x)
	if !again {
		chain.calls(1)
		if err != first.err || err == nil && resp.Status != first.status {
			t.Errorf("got %v, %v; the outcome was not passed on", resp, err)
		}
		return
	}
	chain.calls(2)
	if err != nil || resp.Status != 200 || len(x.Attempts) != 2 {
		t.Errorf("got %v, %v after %d attempts", resp, err, len(x.Attempts))
	}
}

func TestAWriteWithoutAKeyIsNotSentTwiceToAProviderThatHonoursKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Idempotency.Honoured = true
		chain := play(t, answered(503))
		resp, err := attempts(s, testHost(t, "", s))(chain.next)(testExchange(t, "POST", "/", ""))
		if err != nil || resp.Status != 503 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}

func TestOnlyTheConfiguredOutcomesAreTriedAgain(t *testing.T) {
	outcomes := map[string]outcome{"network": broke(problem.UpstreamUnreachable, false), "timeout": broke(problem.UpstreamTimeout, true),
		"429": answered(429), "5xx": answered(500)}
	for word, first := range outcomes {
		for other := range outcomes {
			t.Run(word+" with on: "+other, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testSettings()
					s.Retry.On = []string{other}
					chain := play(t, first, answered(200))
					_, _ = attempts(s, testHost(t, "", s))(chain.next)(testExchange(t, "GET", "/", ""))
					chain.calls(map[bool]int{true: 2, false: 1}[word == other])
				})
			})
		}
	}
}

func TestRetryOffMakesOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Retry = nil
		chain := play(t, answered(503))
		resp, err := attempts(s, testHost(t, "", s))(chain.next)(testExchange(t, "GET", "/", ""))
		if err != nil || resp.Status != 503 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}

func TestAStreamedBodyIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		chain := play(t, answered(503))
		x := testExchange(t, "PUT", "/", "")
		x.Request.Body = wire.Body{Stream: &trackedBody{}, Length: 3}
		_, _ = attempts(s, testHost(t, "", s))(chain.next)(x)
		chain.calls(1)
	})
}

func TestExhaustedRetriesGiveTheLastAnswerAndCloseTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		chain := play(t, answered(500), answered(502), answered(503), answered(504))
		x := testExchange(t, "GET", "/", "")
		resp, err := attempts(s, testHost(t, "", s))(chain.next)(x)
		if err != nil || resp.Status != 504 || len(x.Attempts) != 4 {
			t.Fatalf("got %v, %v after %d attempts", resp, err, len(x.Attempts))
		}
		for i, body := range chain.bodies {
			if last := i == len(chain.bodies)-1; body.closed == last {
				t.Errorf("body of attempt %d closed: %v", i+1, body.closed)
			}
		}
	})
}

func TestEachAttemptHasAPrivateCopyOfTheSameRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Idempotency.Honoured = true
		spoil := func(x *Exchange) {
			x.attempt.Fields.Set("Authorization", "Bearer secret")
			x.attempt.Fields.Set("X-Idempotency-Key", "spoiled")
		}
		first, second := answered(503), answered(200)
		first.before, second.before = spoil, spoil
		x := testExchange(t, "POST", "/orders", "body")
		x.Key.Value = "k"
		x.Request.Fields.Add("X-Idempotency-Key", "k")
		chain := play(t, first, second)
		_, _ = attempts(s, testHost(t, "", s))(chain.next)(x)
		if got := x.Request.Fields; len(got) != 1 || got.Get("X-Idempotency-Key") != "k" {
			t.Errorf("the exchange's own request became %v", got)
		}
		for i, sent := range chain.sentAs {
			if sent.Fields.Get("X-Idempotency-Key") != "k" || sent.Fields.Has("Authorization") || string(sent.Body.Bytes) != "body" {
				t.Errorf("attempt %d began with %v", i+1, sent)
			}
		}
	})
}

func TestAttemptsStartAfterGrowingDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Retry.MaxRetries, s.Retry.MaxDelay = 5, s.Retry.InitialDelay*4
		s.Retry.Multiplier = 3
		chain := play(t, slices.Repeat([]outcome{answered(503)}, 6)...)
		_, _ = attempts(s, testHost(t, "", s))(chain.next)(testExchange(t, "GET", "/", ""))
		want := []time.Duration{time.Second, 3 * time.Second, 4 * time.Second, 4 * time.Second, 4 * time.Second}
		if got := chain.waits(); !slices.Equal(got, want) {
			t.Errorf("waited %v, want %v", got, want)
		}
	})
}
