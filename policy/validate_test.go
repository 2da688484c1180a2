package policy

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// streamed is a call whose body is still on the wire.
func streamed(t *testing.T, method string, body io.Reader, length int64) *Exchange {
	x := testExchange(t, method, "/", "")
	x.Request.Body = wire.Body{Stream: io.NopCloser(body), Length: length}
	return x
}

func TestMethodsAndContentTypesAreRefusedBeforeTheBodyIsRead(t *testing.T) {
	untouched := iotest.ErrReader(errors.New("the body was read"))
	for name, c := range map[string]struct {
		method, contentType string
		body                bool
		want                problem.Kind
	}{
		"allowed":              {"POST", "application/json", true, ""},
		"with a parameter":     {"POST", "application/json; charset=utf-8", true, ""},
		"in capitals":          {"POST", "Application/JSON", true, ""},
		"another method":       {"DELETE", "", false, problem.MethodNotAllowed},
		"lower case":           {"post", "application/json", false, problem.MethodNotAllowed},
		"another type":         {"POST", "text/xml", true, problem.ContentTypeNotAllowed},
		"a longer type":        {"POST", "application/json-patch+json", true, problem.ContentTypeNotAllowed},
		"no type":              {"POST", "", true, problem.ContentTypeNotAllowed},
		"malformed type":       {"POST", "application/json;;", true, problem.ContentTypeNotAllowed},
		"no body, no type":     {"GET", "", false, ""},
		"no body, another one": {"GET", "text/xml", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			s.Validate = &Validate{Methods: []string{"GET", "POST"}, ContentTypes: []string{"application/json"}}
			x, chain := testExchange(t, c.method, "/", ""), play(t)
			if c.body && c.want != "" {
				x = streamed(t, c.method, untouched, -1)
			} else if c.body {
				x = streamed(t, c.method, strings.NewReader("{}"), 2)
			}
			if c.contentType != "" {
				x.Request.Fields.Add("Content-Type", c.contentType)
			}
			if c.want == "" {
				chain.outcomes = append(chain.outcomes, answered(200))
			}
			_, err := validate(s)(chain.next)(x)
			if kindOf(err) != c.want {
				t.Fatalf("got %v", err)
			}
			if p, ok := err.(*problem.Problem); ok && c.want == problem.MethodNotAllowed && !slices.Equal(p.Allow, []string{"GET", "POST"}) {
				t.Errorf("Allow: %v", p.Allow)
			}
		})
	}
}

func TestTheBodyIsBoundedAndReadWhole(t *testing.T) {
	const limit = 1000
	many := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		want   problem.Kind
		read   int
	}{
		"small":                         {strings.NewReader("{}"), 2, "", 2},
		"of unknown length":             {strings.NewReader(many(600)), -1, "", 600},
		"empty":                         {strings.NewReader(""), -1, "", 0},
		"the largest":                   {strings.NewReader(many(limit)), limit, "", limit},
		"the largest, length unknown":   {strings.NewReader(many(limit)), -1, "", limit},
		"the largest, with its end":     {iotest.DataErrReader(strings.NewReader(many(limit))), -1, "", limit},
		"too large by length":           {iotest.ErrReader(errors.New("read")), limit + 1, problem.BodyTooLarge, 0},
		"too large by stream":           {strings.NewReader(many(limit + 1)), -1, problem.BodyTooLarge, 0},
		"too large, with its end":       {iotest.DataErrReader(strings.NewReader(many(limit + 1))), -1, problem.BodyTooLarge, 0},
		"too large, byte by byte":       {iotest.OneByteReader(strings.NewReader(many(limit + 1))), -1, problem.BodyTooLarge, 0},
		"endless":                       {endless{}, -1, problem.BodyTooLarge, 0},
		"cut off":                       {io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), 10, problem.InvalidRequest, 0},
		"malformed":                     {iotest.ErrReader(errors.New("invalid byte in chunk length")), -1, problem.InvalidRequest, 0},
		"slow and right":                {iotest.HalfReader(strings.NewReader(many(limit))), limit, "", limit},
		"length unknown, byte for byte": {iotest.OneByteReader(strings.NewReader(many(limit))), -1, "", limit},
	} {
		t.Run(name, func(t *testing.T) {
			s, chain := testSettings(), play(t)
			s.MaxBody = limit
			if c.want == "" {
				chain.outcomes = append(chain.outcomes, answered(200))
			}
			x := streamed(t, "POST", c.body, c.length)
			_, err := validate(s)(chain.next)(x)
			if kindOf(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if err == nil && (!x.Request.Body.Buffered() || len(x.Request.Body.Bytes) != c.read) {
				t.Errorf("read %d bytes, want %d", len(x.Request.Body.Bytes), c.read)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAnApplicationThatLeavesWhileItSendsIsNotAnswered(t *testing.T) {
	x := streamed(t, "POST", iotest.ErrReader(errors.New("connection reset")), -1)
	cancelable(x)()
	if _, err := validate(testSettings())(play(t).next)(x); err != ErrCanceled {
		t.Errorf("got %v", err)
	}
}

func TestTheBodyIsBufferedOnlyForWhoNeedsIt(t *testing.T) {
	off := func(s *Settings) { s.Retry, s.Idempotency, s.DeadLetter = nil, nil, nil }
	for name, c := range map[string]struct {
		method string
		edit   func(*Settings)
		want   bool
	}{
		"nothing needs it":         {"POST", off, false},
		"retries":                  {"GET", func(s *Settings) { off(s); s.Retry = testSettings().Retry }, true},
		"no retries":               {"GET", func(s *Settings) { off(s); s.Retry = &Retry{} }, false},
		"a signature":              {"GET", func(s *Settings) { off(s); s.Sign = &Sign{} }, true},
		"keys, of a write":         {"POST", func(s *Settings) { off(s); s.Idempotency = testSettings().Idempotency }, true},
		"keys, of a read":          {"GET", func(s *Settings) { off(s); s.Idempotency = testSettings().Idempotency }, false},
		"letters, of their method": {"PUT", func(s *Settings) { off(s); s.DeadLetter = testSettings().DeadLetter }, true},
		"letters, of another":      {"PUT", func(s *Settings) { off(s); s.DeadLetter = &DeadLetter{Methods: []string{"POST"}} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			c.edit(s)
			x := streamed(t, c.method, strings.NewReader("body"), 4)
			_, _ = validate(s)(play(t, answered(200)).next)(x)
			if x.Request.Body.Buffered() != c.want {
				t.Errorf("buffered: %v", !c.want)
			}
		})
	}
}

// The contract: buffered to max_body where a policy needs the body again, streamed otherwise.
func TestABodyThatIsStreamedHasNoBound(t *testing.T) {
	s := testSettings()
	s.Retry, s.Idempotency, s.DeadLetter, s.MaxBody = nil, nil, nil, 10
	x := streamed(t, "POST", strings.NewReader("eleven bytes"), 12)
	if _, err := validate(s)(play(t, answered(200)).next)(x); err != nil || x.Request.Body.Buffered() {
		t.Errorf("got %v, buffered %v", err, x.Request.Body.Buffered())
	}
}
