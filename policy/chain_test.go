package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestAWriteThatWasReadAndNotAnsweredIsSentOnce(t *testing.T) {
	for name, step := range map[string]upstream.Step{"closed": upstream.CloseAfterRead(), "reset": upstream.Reset(), "cut in the head": upstream.Malformed([]byte("HTTP/1.1 200")),
		"truncated": upstream.Truncate(10, 4), "truncated chunks": upstream.TruncateChunked(), "not HTTP": upstream.Malformed([]byte("SMTP ready\r\n\r\n"))} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, step)
			r := newRig(t, u.URL(), quick())
			a := r.call("POST", "/orders", `{"a":1}`, "Idempotency-Key", "k-1")
			p, ok := a.err.(*problem.Problem)
			if !ok || p.Status() != 502 || p.ErrorType() != problem.TypeOutcomeUnknown || p.Retryable() || !a.x.Unknown || len(a.x.Attempts) != 1 {
				t.Fatalf("got %v, unknown %v after %d attempts", a.err, a.x.Unknown, len(a.x.Attempts))
			}
			list := letters(t, r.spool)
			if len(list) != 1 || list[0].ID != a.x.LetterID || list[0].Error.Type != problem.TypeOutcomeUnknown {
				t.Fatalf("letters %v", list)
			}
			again := r.call("POST", "/orders", `{"a":1}`, "Idempotency-Key", "k-1")
			if kindOf(again.err) != problem.OutcomeUnknown || again.x.LetterID != list[0].ID || len(letters(t, r.spool)) != 1 {
				t.Errorf("again: %v, letter %q", again.err, again.x.LetterID)
			}
		})
	}
}

func TestAWriteGoesAgainToAProviderThatHonoursKeys(t *testing.T) {
	t.Setenv("CHAIN_TEST_KEY", "k")
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.Truncate(10, 4), upstream.Status(503), upstream.OK("made"))
	r := newRig(t, u.URL(), quick(honoured, func(s *Settings) {
		s.Sign = builtInSign("env:CHAIN_TEST_KEY")
		s.Sign.Content = "{timestamp}.{id}.{body}"
	}))
	a := r.call("POST", "/orders", `{"a":1}`)
	if a.err != nil || a.status != 200 || a.body != "made" || len(a.x.Attempts) != 4 || len(letters(t, r.spool)) != 0 {
		t.Fatalf("%+v", a)
	}
	seen := map[string]bool{}
	for _, q := range u.Requests() {
		if string(q.Body) != `{"a":1}` || q.Fields.Get("X-Idempotency-Key") != a.x.Key.Value {
			t.Errorf("attempt %d: %s with key %s", q.N, q.Body, q.Fields.Get("X-Idempotency-Key"))
		}
		for _, name := range []string{"X-Signature", "X-Timestamp", "X-Request-ID"} {
			if v := q.Fields.Get(name); v == "" || seen[v] {
				t.Errorf("attempt %d: %s is %q, missing or sent before", q.N, name, v)
			}
			seen[q.Fields.Get(name)] = true
		}
	}
}

func TestAWriteThatWasNeverSentIsTriedAgain(t *testing.T) {
	r := newRig(t, upstream.Refused(t), quick())
	a := r.call("POST", "/orders", "{}", "Idempotency-Key", "k")
	if kindOf(a.err) != problem.UpstreamUnreachable || a.x.Unknown || len(a.x.Attempts) != 4 {
		t.Fatalf("%v, unknown %v after %d attempts", a.err, a.x.Unknown, len(a.x.Attempts))
	}
	for _, attempt := range a.x.Attempts {
		if attempt.Sent || attempt.Error != "upstream-unreachable (connection_refused)" {
			t.Errorf("attempt %+v", attempt)
		}
	}
	if l := letters(t, r.spool); len(l) != 1 || l[0].Error.Type != problem.TypeNetwork || l[0].State != dlq.Dead || a.x.Idempotency != "released" {
		t.Errorf("letters %v, key %s", l, a.x.Idempotency)
	}
}

func TestALateSuccessResolvesTheLetter(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Status(201, "made"))
	r := newRig(t, u.URL(), quick())
	failed := r.call("POST", "/orders", "{}", "Idempotency-Key", "k")
	if failed.status != 503 || failed.x.LetterID == "" {
		t.Fatalf("%+v", failed)
	}
	if a := r.call("POST", "/orders", "{}", "Idempotency-Key", "k"); a.status != 201 || a.x.LetterID != "" {
		t.Fatalf("%+v", a)
	}
	if l, _ := r.spool.Get(failed.x.LetterID); l.State != dlq.Resolved {
		t.Errorf("the letter is %s", l.State)
	}
	if a := r.call("POST", "/orders", "{}", "Idempotency-Key", "k"); a.status != 201 || a.body != "made" || a.fields.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%+v", a)
	}
}

func TestASilentSystemTimesOut(t *testing.T) {
	short := units.Duration(50 * time.Millisecond)
	for name, c := range map[string]struct {
		edit func(*Settings)
		own  string
		want problem.Kind
	}{
		"attempt":               {func(s *Settings) { s.Timeout.Attempt = short }, "", problem.UpstreamTimeout},
		"total":                 {func(s *Settings) { s.Timeout.Total = short }, "", problem.TotalTimeout},
		"the application's own": {func(*Settings) {}, "50ms", problem.TotalTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, upstream.Hang())
			r := newRig(t, u.URL(), quick(retryOff, c.edit))
			fields := []string{"Idempotency-Key", "k"}
			if c.own != "" {
				fields = append(fields, "X-Request-Timeout", c.own)
			}
			a := r.call("POST", "/", "{}", fields...)
			if kindOf(a.err) != c.want || !a.x.Unknown || a.x.LetterID == "" || r.host.Breaker.Failures() != map[bool]int{true: 0, false: 1}[c.own != ""] {
				t.Errorf("%v, unknown %v, letter %q, %d failures", a.err, a.x.Unknown, a.x.LetterID, r.host.Breaker.Failures())
			}
			u.WaitGone(1)
		})
	}
}

func TestAnApplicationThatLeavesEndsTheAttempt(t *testing.T) {
	u := upstream.Script(t, upstream.Hang())
	r := newRig(t, u.URL(), quick())
	x := r.exchange("POST", "/", "{}", "Idempotency-Key", "k")
	cancel := cancelable(x)
	go func() {
		u.WaitHits(1)
		cancel()
	}()
	a := r.run(x)
	if a.err != ErrCanceled || !x.Unknown || x.LetterID == "" || r.host.Breaker.Failures() != 0 {
		t.Errorf("%v, unknown %v, letter %q", a.err, x.Unknown, x.LetterID)
	}
	u.WaitGone(1)
	if l, err := r.spool.Get(x.LetterID); err != nil || l.Error.Type != problem.TypeOutcomeUnknown {
		t.Errorf("letter %+v, %v", l, err)
	}
}

func TestABreakerThatOpensBetweenAttemptsGivesTheLastRealAnswer(t *testing.T) {
	u := upstream.Script(t, upstream.Status(500, "first"), upstream.Status(500, "second"))
	r := newRig(t, u.URL(), quick(func(s *Settings) { s.Host.Breaker.FailureThreshold = 2 }))
	if a := r.call("GET", "/", ""); a.status != 500 || a.body != "second" {
		t.Errorf("%+v", a)
	}
	a := r.call("POST", "/", "{}")
	if kindOf(a.err) != problem.CircuitOpen || a.x.LetterID == "" {
		t.Errorf("%v, letter %q", a.err, a.x.LetterID)
	}
}

func TestABadAnswerIsTriedAgain(t *testing.T) {
	for name, step := range map[string]upstream.Step{
		"truncated": upstream.Truncate(10, 4), "truncated chunks": upstream.TruncateChunked(), "not HTTP": upstream.Malformed([]byte("hello\r\n\r\n")),
		"no such status":  upstream.Malformed([]byte("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n")),
		"no status":       upstream.Malformed([]byte("HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n")),
		"other protocol":  upstream.Malformed([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")),
		"a huge head":     upstream.Malformed([]byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n")),
		"two lengths":     upstream.Malformed([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
		"a broken chunk":  upstream.Malformed([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")),
		"negative length": upstream.Malformed([]byte("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, step, upstream.OK("fine"))
			a := newRig(t, u.URL(), quick(honoured)).call("POST", "/", "{}", "Idempotency-Key", "k")
			if a.err != nil || a.body != "fine" || len(a.x.Attempts) != 2 || !strings.HasPrefix(a.x.Attempts[0].Error, string(problem.BadUpstreamResponse)) {
				t.Errorf("%+v, attempts %+v", a, a.x.Attempts)
			}
		})
	}
}
