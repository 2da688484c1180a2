package policy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestWhichResponsesAreReadWhole(t *testing.T) {
	small, large := strings.Repeat("x", smallBody), strings.Repeat("x", smallBody+1)
	chunked := func(body string) upstream.Step { return upstream.ChunkedWithTrailer(body) }
	for name, c := range map[string]struct {
		method, key string
		step        upstream.Step
		size        int
		stream      bool
	}{
		"a small one of a read":       {"GET", "", upstream.OK(small), len(small), false},
		"a large one of a read":       {"GET", "", upstream.OK(large), len(large), true},
		"one of unknown length":       {"GET", "", chunked("abc"), 3, true},
		"a failure of unknown length": {"GET", "", upstream.Step(withStatus(503, "sorry")), 5, false},
		"a large one to store":        {"POST", "k", upstream.OK(large), len(large), false},
		"unknown length, to store":    {"POST", "k", chunked(large), len(large), false},
		"too large to store":          {"POST", "k", upstream.OK(strings.Repeat("x", 200<<10)), 200 << 10, true},
		"too large, unknown length":   {"POST", "k", chunked(strings.Repeat("x", 200<<10)), 200 << 10, true},
		"an event stream":             {"POST", "k", upstream.WithHeader(chunked("data: 1\n\n"), "Content-Type", "Text/Event-Stream; x=y"), 9, true},
		"none":                        {"POST", "k", upstream.Status(204), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, c.step)
			r := newRig(t, u.URL(), quick(retryOff, func(s *Settings) { s.MaxBody = 100 << 10 }))
			x := r.exchange(c.method, "/", "")
			if c.key != "" {
				x = r.exchange(c.method, "/", "{}", "Idempotency-Key", c.key)
			}
			resp, err := r.next(x)
			if err != nil {
				t.Fatal(err)
			}
			size := len(resp.Content)
			if resp.Stream != nil {
				b, err := io.ReadAll(resp.Stream)
				if err != nil {
					t.Error(err)
				}
				size = len(b)
			}
			resp.Close()
			if (resp.Stream != nil) != c.stream || size != c.size {
				t.Errorf("streamed %v, %d bytes; want %v, %d", resp.Stream != nil, size, c.stream, c.size)
			}
		})
	}
}

// withStatus is a failure that ends with its connection, so that its length is unknown.
func withStatus(status int, body string) upstream.Step {
	return upstream.Malformed(fmt.Appendf(nil, "HTTP/1.1 %d Odd\r\nConnection: close\r\n\r\n%s", status, body))
}

func TestAnAttemptsDeadlineEndsItsStreamToo(t *testing.T) {
	chunks := make(chan []byte, 1)
	chunks <- []byte("first")
	u := upstream.Script(t, upstream.Stream(chunks))
	r := newRig(t, u.URL(), quick(func(s *Settings) { s.Timeout.Attempt = units.Duration(100 * time.Millisecond) }))
	a := r.call("GET", "/", "")
	if a.body != "first" || a.broken == nil {
		t.Errorf("%+v", a)
	}
	u.WaitGone(1)
}

func TestAStreamThatBreaksOffIsAnError(t *testing.T) {
	for name, step := range map[string]upstream.Step{"short": upstream.Truncate(100<<10, 70<<10), "chunks": upstream.TruncateChunked()} {
		u := upstream.Script(t, step)
		r := newRig(t, u.URL(), quick(retryOff))
		if a := r.call("GET", "/", ""); !errors.Is(a.broken, io.ErrUnexpectedEOF) || r.host.Breaker.Failures() != 1 {
			t.Errorf("%s: %v, %d failures", name, a.broken, r.host.Breaker.Failures())
		}
	}
}

// Contract section 4: a truncated response is a failure of the breaker, however large it is.
func TestASystemThatKeepsBreakingItsStreamsOffOpensTheBreaker(t *testing.T) {
	u := upstream.Always(t, upstream.TruncateChunked())
	r := newRig(t, u.URL(), quick(retryOff))
	for range 5 {
		_ = r.call("GET", "/", "")
	}
	if got := r.host.Breaker.State(); got != BreakerOpened {
		t.Errorf("%v after five truncated responses, want open", got)
	}
}
