package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestBrokenAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		step upstream.Step
		want error
	}{
		"reset":             {upstream.Reset(), syscall.ECONNRESET},
		"close after read":  {upstream.CloseAfterRead(), io.EOF},
		"truncated":         {upstream.Truncate(100, 10), io.ErrUnexpectedEOF},
		"truncated chunked": {upstream.TruncateChunked(), io.ErrUnexpectedEOF},
		"malformed":         {upstream.Malformed([]byte("nonsense\r\n\r\n")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, tc.step)
			_, _, err := get(t, newClient(t, nil), u.URL())
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

func TestCloseBeforeReadSeesNothing(t *testing.T) {
	u := upstream.Script(t, upstream.CloseBeforeRead())
	res, err := newClient(t, nil).Post(u.URL(), "text/plain", strings.NewReader("x"))
	if err == nil {
		res.Body.Close()
		t.Fatal("no error")
	}
	if r := u.Request(1); r.Method != "" || r.Body != nil {
		t.Errorf("it read %q %q", r.Method, r.Body)
	}
}

func TestHangEndsWhenTheClientLeaves(t *testing.T) {
	for name, step := range map[string]upstream.Step{
		"hang":   upstream.Hang(),
		"gate":   upstream.Gate(upstream.OK("x"), make(chan struct{})),
		"slow":   upstream.Slow(upstream.OK("x"), time.Hour),
		"delay":  upstream.Delay(upstream.OK("x"), time.Hour),
		"stream": upstream.Stream(make(chan []byte)),
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream.Script(t, step)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "GET", u.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() { u.WaitHits(1); cancel() }()
			if res, err := newClient(t, nil).Do(req); err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
				if !errors.Is(err, context.Canceled) {
					t.Errorf("read: %v", err)
				}
			}
			u.WaitGone(1)
		})
	}
}

func TestHangEndsWithTheTest(t *testing.T) {
	var wg sync.WaitGroup
	t.Run("inner", func(t *testing.T) {
		u := upstream.Always(t, upstream.Hang())
		c := newClient(t, nil)
		wg.Go(func() {
			if _, _, err := get(t, c, u.URL()); err == nil {
				t.Error("an answer came")
			}
		})
		u.WaitHits(1)
	})
	wg.Wait()
}

func TestGateOpensAndConnectionStays(t *testing.T) {
	gate := make(chan struct{})
	u := upstream.Always(t, upstream.Gate(upstream.OK("x"), gate))
	c := newClient(t, nil)
	go func() { u.WaitHits(1); close(gate) }()
	for range 3 {
		if _, body, err := get(t, c, u.URL()); body != "x" || err != nil {
			t.Fatalf("%q %v", body, err)
		}
	}
	if u.Conns() != 1 {
		t.Errorf("%d connections", u.Conns())
	}
}

func TestSlowAndDelayedAnswersArriveWhole(t *testing.T) {
	u := upstream.Script(t, upstream.Delay(upstream.Slow(upstream.OK("slow"), time.Millisecond), time.Millisecond))
	if _, body, err := get(t, newClient(t, nil), u.URL()); body != "slow" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}
