package policy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func transforming(request, response string) func(*Settings) {
	return func(s *Settings) { s.Transform = &Transform{Request: request, Response: response} }
}

const jsonType = "application/json"

func TestTheProviderGetsWhatTheProgramMakes(t *testing.T) {
	t.Setenv("TRANSFORM_KEY", "k")
	u := upstream.Script(t, upstream.Status(503), upstream.JSON(201, `{"result":{"id":12345678901234567890,"price":1.10}}`))
	r := newRig(t, u.URL(), quick(honoured, transforming("{order: ., n: 1.5}", ".result + {status: $status}"), func(s *Settings) {
		s.Sign = builtInSign("env:TRANSFORM_KEY")
	}))
	const body = `{"b":1.10,"a":12345678901234567890}`
	a := r.call("POST", "/orders", body, "Content-Type", jsonType, "Content-Digest", signature.Digest([]byte(body)), "Idempotency-Key", "k-1", "Accept-Encoding", "gzip, br")
	if a.err != nil || a.status != 201 || a.body != `{"id":12345678901234567890,"price":1.10,"status":201}` {
		t.Fatalf("%d %s, %v", a.status, a.body, a.err)
	}
	plain := upstream.Always(t, upstream.OK(""))
	signer := newRig(t, plain.URL(), quick(func(s *Settings) { s.Sign = builtInSign("env:TRANSFORM_KEY") }))
	signer.call("POST", "/orders", `{"n":1.5,"order":{"a":12345678901234567890,"b":1.10}}`)
	for _, q := range u.Requests() {
		if string(q.Body) != `{"n":1.5,"order":{"a":12345678901234567890,"b":1.10}}` {
			t.Errorf("attempt %d sent %s", q.N, q.Body)
		}
		if q.Fields.Has("Content-Digest") || q.Fields.Get("Accept-Encoding") != "identity" || q.Fields.Get("Content-Type") != jsonType {
			t.Errorf("attempt %d sent %v", q.N, q.Fields)
		}
		if q.Fields.Get("X-Signature") != plain.Request(1).Fields.Get("X-Signature") {
			t.Errorf("attempt %d: the signature is not that of what was sent", q.N)
		}
	}
}

// What is remembered of a call is what the application sent, so that it is transformed once, also when its letter is
// replayed, and so that a program that changes does not make the same call another.
func TestALetterKeepsWhatTheApplicationSent(t *testing.T) {
	u := upstream.Script(t, upstream.Status(500), upstream.OK("made"))
	r := newRig(t, u.URL(), quick(retryOff, transforming("[.]", "")))
	const body = `{"orderId":"o-1"}`
	if a := r.call("POST", "/orders", body, "Content-Type", jsonType, "Idempotency-Key", "k"); a.status != 500 {
		t.Fatalf("%d, %v", a.status, a.err)
	}
	l := letters(t, r.spool)[0]
	if string(l.OriginalMessage.Body) != body {
		t.Fatalf("the letter keeps %s", l.OriginalMessage.Body)
	}
	x := r.exchange("POST", "/orders", body, "Content-Type", jsonType)
	x.Replay = &Replay{Letter: l}
	if a := r.run(x); a.err != nil || a.status != 200 {
		t.Fatalf("%d, %v", a.status, a.err)
	}
	for n := 1; n <= 2; n++ {
		if got := string(u.Request(n).Body); got != `[{"orderId":"o-1"}]` {
			t.Errorf("call %d sent %s", n, got)
		}
	}
}

func TestTheKeyIsThatOfWhatTheApplicationSent(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(200, `{"n":1}`))
	r := newRig(t, u.URL(), quick(transforming("{id: .orderId}", "[.]"), func(s *Settings) { s.Idempotency.KeyFrom = []string{"body:/orderId"} }))
	first := r.call("POST", "/orders", `{"orderId":"o-1"}`, "Content-Type", jsonType)
	again := r.call("POST", "/orders", `{"orderId":"o-1"}`, "Content-Type", jsonType)
	if first.body != `[{"n":1}]` || again.body != first.body || again.fields.Get("Idempotency-Replayed") != "true" || u.Hits() != 1 {
		t.Errorf("%s, then %s after %d calls", first.body, again.body, u.Hits())
	}
	other := r.call("POST", "/orders", `{"orderId":"o-1","more":1}`, "Content-Type", jsonType)
	if kindOf(other.err) != problem.KeyReused {
		t.Errorf("another body that transforms to the same: %v", other.err)
	}
}

func TestARequestThatCannotBeTransformedIsNotSent(t *testing.T) {
	r := newRig(t, "", quick(transforming(".lines[].sku | select(. != 0)", "")))
	for name, c := range map[string]struct {
		contentType, body string
		kind              problem.Kind
		says              string
	}{
		"another shape": {jsonType, `{"lines":"4111"}`, problem.TransformFailed, "it failed: cannot iterate over string."},
		"no result":     {jsonType, `{"lines":[]}`, problem.TransformFailed, "yields nothing"},
		"two results":   {jsonType, `{"lines":[{"sku":1},{"sku":2}]}`, problem.TransformFailed, "more than one value"},
		"not JSON":      {jsonType, `lines`, problem.InvalidRequest, "stops being JSON at byte 1"},
		"another type":  {"text/plain", `{"lines":[{"sku":1}]}`, problem.ContentTypeNotAllowed, "must be JSON"},
	} {
		a := r.call("POST", "/orders", c.body, "Content-Type", c.contentType, "Idempotency-Key", "k")
		if p, _ := a.err.(*problem.Problem); kindOf(a.err) != c.kind || !strings.Contains(p.Detail, c.says) || strings.Contains(p.Detail, "4111") || p.Retryable() {
			t.Errorf("%s: %v", name, a.err)
		}
		if a.x.Idempotency != "" || len(letters(t, r.spool)) != 0 {
			t.Errorf("%s: key %s, letters %d", name, a.x.Idempotency, len(letters(t, r.spool)))
		}
	}
	if a := r.call("POST", "/orders", `{"lines":[{"sku":1}]}`, "Content-Type", jsonType, "Content-Digest", signature.Digest([]byte("{}"))); kindOf(a.err) != problem.InvalidRequest {
		t.Errorf("a body that is not the one that was meant: %v", a.err)
	}
	if p := problem.New(problem.TransformFailed, ""); p.Status() != 422 {
		t.Errorf("status %d", p.Status())
	}
}

// The call has taken effect: it must not be sent again, and its outcome stands.
func TestAnAnswerThatCannotBeTransformedIsAnOutcome(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(200, `{"secret":"4111"}`))
	r := newRig(t, u.URL(), quick(honoured, transforming("", ".secret.x")))
	for n := range 2 {
		a := r.call("POST", "/orders", "{}", "Content-Type", jsonType, "Idempotency-Key", "k")
		p, _ := a.err.(*problem.Problem)
		if kindOf(a.err) != problem.TransformFailed || p.Status() != 502 || p.Retryable() || strings.Contains(p.Error(), "4111") || p.ErrorType() != problem.TypeServerError {
			t.Fatalf("call %d: %v", n, a.err)
		}
		if !Delivered(nil, a.err) || !a.x.KeyHeld(nil, a.err) {
			t.Error("the external system has answered for good")
		}
	}
	if u.Hits() != 1 || len(letters(t, r.spool)) != 0 {
		t.Errorf("%d calls, %d letters", u.Hits(), len(letters(t, r.spool)))
	}
	mended := quick(honoured, transforming("", "{ok: true}"))
	next, err := Compile(mended, r.host, r.deps)
	if err != nil {
		t.Fatal(err)
	}
	r.next = next
	a := r.call("POST", "/orders", "{}", "Content-Type", jsonType, "Idempotency-Key", "k")
	if a.body != `{"ok":true}` || u.Hits() != 1 {
		t.Errorf("with a program that was mended: %s, %v after %d calls", a.body, a.err, u.Hits())
	}
}

func TestWhichAnswersAreTransformed(t *testing.T) {
	large := `{"x":"` + strings.Repeat("y", 2000) + `"}`
	for name, c := range map[string]struct {
		method string
		step   upstream.Step
		body   string // "" : a problem
	}{
		"a read":            {"GET", upstream.JSON(200, `{"a":1}`), `[{"a":1}]`},
		"a write":           {"POST", upstream.JSON(200, `{"a":1}`), `[{"a":1}]`},
		"207":               {"POST", upstream.JSON(207, `{"a":1}`), `[{"a":1}]`},
		"a read in chunks":  {"GET", upstream.WithHeader(upstream.ChunkedWithTrailer(`{"a":1}`, "X-Sum", "1"), "Content-Type", jsonType), `[{"a":1}]`},
		"an error":          {"GET", upstream.JSON(404, `{"a":1}`), `{"a":1}`},
		"not JSON":          {"GET", upstream.WithHeader(upstream.OK("a,b"), "Content-Type", "text/csv"), "a,b"},
		"no type":           {"GET", upstream.OK("{}"), "{}"},
		"no content":        {"GET", upstream.Status(204), ""},
		"malformed":         {"GET", upstream.JSON(200, `{"a":`), ""},
		"compressed":        {"GET", upstream.WithHeader(upstream.JSON(200, "\x1f\x8b"), "Content-Encoding", "gzip"), ""},
		"larger than bound": {"GET", upstream.JSON(200, large), ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Always(t, c.step)
			r := newRig(t, u.URL(), quick(transforming("", "[.]"), func(s *Settings) { s.MaxBody = 1024 }))
			a := r.call(c.method, "/a", "", "Range", "bytes=0-3")
			if c.body == "" && name != "no content" {
				if kindOf(a.err) != problem.TransformFailed {
					t.Errorf("%d %s, %v", a.status, a.body, a.err)
				}
			} else if a.err != nil || a.body != c.body {
				t.Errorf("%d %s, %v", a.status, a.body, a.err)
			}
			if u.Request(1).Fields.Has("Range") {
				t.Error("a part of a body cannot be transformed")
			}
		})
	}
}

func TestAnAnswerThatWasTransformedHasNoDigestOfTheOtherBody(t *testing.T) {
	u := upstream.Always(t, upstream.WithHeader(upstream.JSON(200, `{"a":1}`), "Content-Digest", "sha-256=:x:", "Digest", "y", "ETag", `"7"`))
	r := newRig(t, u.URL(), quick(transforming("", "[.]")))
	for range 2 {
		a := r.call("POST", "/a", "{}", "Content-Type", jsonType, "Idempotency-Key", "k")
		if a.fields.Has("Content-Digest") || a.fields.Has("Digest") || a.fields.Has("Content-Length") || a.fields.Get("ETag") != `"7"` {
			t.Errorf("fields %v", a.fields)
		}
	}
	plain := newRig(t, u.URL(), quick())
	if a := plain.call("POST", "/a", "{}", "Idempotency-Key", "k"); !a.fields.Has("Content-Digest") {
		t.Error("without a program nothing is removed")
	}
}

func TestAnAcceptedCallIsTransformedWhenItIsSent(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(200, `{"a":1}`))
	r, _ := asyncRig(t, u.URL(), transforming(`{n: .a}`, `[.]`))
	if a := r.call("POST", "/orders", `[1]`, "Content-Type", jsonType); kindOf(a.err) != problem.TransformFailed {
		t.Errorf("what cannot be transformed is accepted: %v", a.err)
	}
	kept := r.accept("Content-Type", jsonType)
	if string(kept.Body) != `{"a":1}` {
		t.Fatalf("kept %s", kept.Body)
	}
	if a := r.run(r.delivery(kept)); a.body != `[{"a":1}]` || string(u.Request(1).Body) != `{"n":1}` {
		t.Errorf("%s, sent %s, %v", a.body, u.Request(1).Body, a.err)
	}
}

// An accepted call whose answer cannot be transformed has taken effect: a letter of it would be sent again.
func TestADeliveryWhoseAnswerCannotBeTransformedLeavesNoLetter(t *testing.T) {
	u := upstream.Always(t, upstream.JSON(200, `{"a":1}`))
	r, _ := asyncRig(t, u.URL(), transforming("", ".a.b"))
	a := r.run(r.delivery(r.accept("Content-Type", jsonType)))
	if kindOf(a.err) != problem.TransformFailed || a.x.Again || len(r.letters()) != 0 {
		t.Errorf("%v, again %v, %d letters", a.err, a.x.Again, len(r.letters()))
	}
}

func TestARetryKeepsWhatTheApplicationSentApart(t *testing.T) {
	x := testExchange(t, "POST", "/", `{"a":1}`)
	x.Request.Trailer = func() wire.Fields { return nil }
	x.outgoing = []byte("[]")
	_, _ = newRetryPlan(testSettings()).try(func(x *Exchange) (*wire.Response, error) { return nil, nil }, x)
	if string(x.Request.Body.Bytes) != `{"a":1}` || x.Request.Trailer == nil || string(x.attempt.Body.Bytes) != "[]" || x.attempt.Trailer != nil {
		t.Errorf("the call has %s, the attempt %s", x.Request.Body.Bytes, x.attempt.Body.Bytes)
	}
}
