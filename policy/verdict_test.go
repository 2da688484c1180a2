package policy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func judging(condition, as string) func(*Settings) {
	return func(s *Settings) {
		s.Classify = &Classify{FailedWhen: condition, As: as}
		s.DeadLetter.On = append(s.DeadLetter.On, "partial_failure")
	}
}

const partly = `{"done":[1],"errors":[{"card":"4111"}]}`

// A batch that failed in part is not sent again, whoever asks: its letter waits for a person.
func TestAPartialFailureIsNeitherRetriedNorTakenForASuccess(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(207, partly))
	r := newRig(t, u.URL(), quick(honoured, judging(".errors | length > 0", "partial_failure")))
	a := r.call("POST", "/batch", `{"items":[1,2]}`, "Idempotency-Key", "k")
	if a.status != 207 || a.body != partly || len(a.x.Attempts) != 1 || a.x.Idempotency != "stored" || a.x.LetterID == "" {
		t.Fatalf("%d %s after %d attempts, key %s", a.status, a.body, len(a.x.Attempts), a.x.Idempotency)
	}
	list := letters(t, r.spool)
	if len(list) != 1 || list[0].Error.Type != problem.TypePartialFailure || list[0].Error.Code != "207" || strings.Contains(list[0].Error.Message, "4111") {
		t.Fatalf("letters %+v", list)
	}
	again := r.call("POST", "/batch", `{"items":[1,2]}`, "Idempotency-Key", "k")
	if again.status != 207 || again.body != partly || u.Hits() != 1 || again.fields.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %d %s after %d calls", again.status, again.body, u.Hits())
	}
	if n := len(letters(t, r.spool)); n != 1 {
		t.Errorf("the outcome that is replayed left a letter of its own: there are %d", n)
	}
	if l, err := r.spool.Get(list[0].ID); err != nil || l.State != dlq.Dead {
		t.Errorf("the outcome that is replayed resolved its letter: %+v, %v", l, err)
	}
	if state := r.host.Breaker.State(); state != BreakerClosed {
		t.Errorf("breaker %v", state)
	}
}

func TestWhatABodyTellsCountsAsItsSettingSays(t *testing.T) {
	body := `{"status":"error"}`
	for as, want := range map[string]struct {
		attempts int
		kind     problem.ErrorType
		key      string
		letter   bool
	}{
		"partial_failure": {1, problem.TypePartialFailure, "stored", true},
		"server_error":    {4, problem.TypeServerError, "released", true},
		"client_error":    {1, problem.TypeClientError, "stored", false},
	} {
		t.Run(as, func(t *testing.T) {
			u := upstream.Always(t, upstream.JSON(200, body))
			r := newRig(t, u.URL(), quick(honoured, judging(`.status == "error"`, as)))
			x := r.exchange("POST", "/orders", "{}", "Idempotency-Key", "k")
			resp, err := r.next(x)
			if err != nil || string(resp.Content) != body || resp.Outcome != wire.Outcome(as) || Succeeded(resp) {
				t.Fatalf("%+v, %v", resp, err)
			}
			if len(x.Attempts) != want.attempts || errorType(resp, nil) != want.kind || x.Idempotency != want.key || (x.LetterID != "") != want.letter {
				t.Errorf("%d attempts, %s, key %s, letter %q", len(x.Attempts), errorType(resp, nil), x.Idempotency, x.LetterID)
			}
		})
	}
}

func TestAProviderThatDoesNotHonourKeysIsNotAskedAgainForABodyEither(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(200, `{"status":"error"}`))
	r := newRig(t, u.URL(), quick(judging(`.status == "error"`, "server_error")))
	if a := r.call("POST", "/orders", "{}", "Idempotency-Key", "k"); len(a.x.Attempts) != 1 {
		t.Errorf("%d attempts of a write", len(a.x.Attempts))
	}
	if a := r.call("GET", "/orders", ""); len(a.x.Attempts) != 4 {
		t.Errorf("%d attempts of a read", len(a.x.Attempts))
	}
}

// An answer of unknown length once went past the condition of a read: nobody had read it whole.
func TestABodyInChunksIsJudged(t *testing.T) {
	u := upstream.Always(t, upstream.WithHeader(upstream.ChunkedWithTrailer(partly, "X-Sum", "1"), "Content-Type", jsonType))
	r := newRig(t, u.URL(), quick(judging(".errors | length > 0", "client_error")))
	x := r.exchange("GET", "/a", "")
	resp, err := r.next(x)
	if err != nil || resp.Outcome != wire.ClientError || x.Unjudged != nil {
		t.Errorf("%+v, %v, not judged because of %v", resp, err, x.Unjudged)
	}
	resp.Close()
}

func TestBodiesThatTellNothing(t *testing.T) {
	for name, c := range map[string]struct {
		step     upstream.Step
		unjudged bool
	}{
		"a success":          {upstream.JSON(200, `{"errors":[]}`), false},
		"null":               {upstream.JSON(200, `null`), false},
		"not JSON":           {upstream.OK(partly), false},
		"an error":           {upstream.JSON(404, partly), false},
		"another shape":      {upstream.JSON(200, `{"errors":true}`), true},
		"malformed":          {upstream.JSON(200, `{"errors":[`), true},
		"larger than bounds": {upstream.JSON(200, `{"errors":[1],"x":"`+strings.Repeat("y", 2000)+`"}`), true},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Always(t, c.step)
			r := newRig(t, u.URL(), quick(judging(".errors | length > 0", "server_error"), func(s *Settings) { s.MaxBody = 1024 }))
			x := r.exchange("POST", "/a", "", "Idempotency-Key", "k")
			resp, err := r.next(x)
			if err != nil || resp.Outcome != "" || len(x.Attempts) != 1 || (x.Unjudged != nil) != c.unjudged {
				t.Errorf("%+v, %v, not judged because of %v", resp, err, x.Unjudged)
			}
			resp.Close()
		})
	}
}

// The program that shapes answers fails, and the letter of what failed is kept all the same.
func TestAPartialFailureThatCannotBeTransformedKeepsItsLetter(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(207, partly))
	r := newRig(t, u.URL(), quick(judging(".errors | length > 0", "partial_failure"), transforming("", ".errors.x")))
	a := r.call("POST", "/batch", "{}", "Content-Type", jsonType)
	list := letters(t, r.spool)
	if kindOf(a.err) != problem.TransformFailed || len(list) != 1 || list[0].Error.Type != problem.TypePartialFailure {
		t.Errorf("%v, letters %v", a.err, list)
	}
}

func TestAnAcceptedBatchThatFailedInPartIsDelivered(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(207, partly))
	r, _ := asyncRig(t, u.URL(), judging(".errors | length > 0", "partial_failure"))
	x := r.delivery(r.accept())
	resp, err := r.next(x)
	if err != nil || x.Again || !Delivered(resp, err) || !x.KeyHeld(resp, err) || len(r.letters()) != 1 {
		t.Errorf("%v, again %v, %d letters", err, x.Again, len(r.letters()))
	}
}
