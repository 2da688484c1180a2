package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpoint is a token endpoint and a place for the client secret, in a bubble.
type endpoint struct {
	mu       sync.Mutex
	takes    time.Duration // until it answers
	lifetime time.Duration
	failure  *Failure // nil: it gives tokens
	key      string   // the client secret as it can be read now
	accepts  string   // the client secret the endpoint takes; "" any
	keyError error
	asked    []time.Time
	counts   map[Result]int
}

func (e *endpoint) source() *Source {
	e.counts = map[Result]int{}
	return &Source{timeout: 5 * time.Second, fetch: e.fetch,
		count: func(r Result) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.counts[r]++
		},
		read: func(context.Context) (secret.Value, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			return secret.NewValue([]byte(e.key)), e.keyError
		}}
}

func (e *endpoint) fetch(ctx context.Context, key secret.Value) (*Token, *Failure) {
	e.mu.Lock()
	now := time.Now()
	e.asked = append(e.asked, now)
	takes, failure, name := e.takes, e.failure, fmt.Sprintf("token-%d", len(e.asked))
	if failure != nil {
		fresh := *failure
		failure = &fresh
	} else if e.accepts != "" && e.accepts != string(key.Reveal()) {
		failure = &Failure{Result: Rejected, Status: 401}
	}
	e.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, &Failure{Result: Timeout}
	}
	if failure != nil {
		return nil, failure
	}
	return newToken(name, now, e.lifetime), nil
}

// set changes the endpoint while fetches may be under way.
func (e *endpoint) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *endpoint) fetches() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

// get is a call that waits up to ten seconds.
func get(t *testing.T, s *Source) (string, error) {
	t.Helper()
	token, err := s.Get(t.Context(), time.Now().Add(10*time.Second))
	if token == nil {
		return "", err
	}
	return string(token.Reveal()), err
}

func want(t *testing.T, s *Source, token string) {
	t.Helper()
	if got, err := get(t, s); got != token || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, token)
	}
}

func TestCallersShareOneFetch(t *testing.T) {
	for name, failure := range map[string]*Failure{"that succeeds": nil, "that fails": {Result: Unavailable, Status: 503}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &endpoint{takes: 200 * time.Millisecond, lifetime: time.Hour, failure: failure}
				s, start := e.source(), time.Now()
				var calls sync.WaitGroup
				for range 100 {
					calls.Go(func() {
						if got, err := get(t, s); (got != "token-1" || err != nil) && failure == nil || failure != nil && err == nil {
							t.Errorf("got %q, %v", got, err)
						}
					})
				}
				calls.Wait()
				if took := time.Since(start); e.fetches() != 1 || took != 200*time.Millisecond {
					t.Errorf("%d fetches in %s", e.fetches(), took)
				}
			})
		})
	}
}

func TestAFetchOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Second, lifetime: time.Hour}
		s := e.source()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if token, err := s.Get(ctx, time.Now().Add(time.Minute)); token != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that left got %v, %v", token, err)
		}
		start := time.Now()
		if token, err := s.Get(t.Context(), start.Add(300*time.Millisecond)); token != nil || !errors.Is(err, ErrWaited) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("a caller with a deadline got %v, %v after %s", token, err, time.Since(start))
		}
		want(t, s, "token-1")
	})
}

func TestASilentEndpointIsWaitedForUntilTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Hour}
		s, start := e.source(), time.Now()
		_, err := get(t, s)
		if failure := (*Failure)(nil); !errors.As(err, &failure) || failure.Result != Timeout || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

func TestTokensAreRenewedBehindTheCalls(t *testing.T) {
	for lifetime, early := range map[time.Duration]time.Duration{time.Hour: time.Minute, 5 * time.Minute: 30 * time.Second, time.Minute: 10 * time.Second, 4 * time.Second: 2 * time.Second} {
		t.Run(lifetime.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &endpoint{lifetime: lifetime}
				s := e.source()
				want(t, s, "token-1")
				time.Sleep(lifetime - early - time.Millisecond)
				want(t, s, "token-1")
				synctest.Wait()
				if e.fetches() != 1 {
					t.Errorf("%d fetches before the time to renew", e.fetches())
				}
				e.set(func() { e.takes = 100 * time.Millisecond })
				time.Sleep(time.Millisecond)
				start := time.Now()
				want(t, s, "token-1")
				want(t, s, "token-1")
				if time.Since(start) != 0 {
					t.Error("a call waited although its token served")
				}
				time.Sleep(time.Second)
				want(t, s, "token-2")
				if e.fetches() != 2 {
					t.Errorf("%d fetches", e.fetches())
				}
			})
		})
	}
}

func TestATokenThatEndedIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{lifetime: time.Minute}
		s := e.source()
		want(t, s, "token-1")
		time.Sleep(55 * time.Second) // it could end on its way
		want(t, s, "token-2")
	})
}

// Forty calls a second for five minutes cost no more fetches than one call.
func TestAnEndpointThatIsDownIsAskedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{failure: &Failure{Result: Unreachable}}
		s := e.source()
		for range 300_000 / 25 {
			if _, err := get(t, s); err == nil {
				t.Fatal("a token of nowhere")
			}
			time.Sleep(25 * time.Millisecond)
		}
		for i, low := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
			gap := e.asked[i+1].Sub(e.asked[i])
			if low *= time.Second; gap < low || gap > low*6/5+lookAgain+25*time.Millisecond {
				t.Errorf("pause %d was %s, want %s and up to a fifth", i+1, gap, low)
			}
		}
		if n := e.fetches(); n > 16 || e.counts[Unreachable] != n {
			t.Errorf("%d fetches in five minutes, %d counted", n, e.counts[Unreachable])
		}
		e.set(func() { e.failure, e.lifetime = nil, time.Hour })
		time.Sleep(38 * time.Second)
		if got, err := get(t, s); got == "" || err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

func TestATokenServesWhileItCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{lifetime: 10 * time.Minute}
		s := e.source()
		want(t, s, "token-1")
		e.set(func() { e.failure = &Failure{Result: Unavailable, Status: 503, wait: 40 * time.Second} })
		time.Sleep(9 * time.Minute)
		want(t, s, "token-1")
		synctest.Wait()
		for range 50 {
			if got, err := get(t, s); got != "token-1" || err == nil {
				t.Fatalf("got %q, %v; want the token and why it is not renewed", got, err)
			}
			time.Sleep(time.Second)
		}
		if gap := e.asked[2].Sub(e.asked[1]); e.fetches() != 3 || gap < 40*time.Second {
			t.Errorf("%d fetches, %s apart, want Retry-After obeyed", e.fetches(), gap)
		}
		time.Sleep(10 * time.Second)
		var failure *Failure
		if got, err := get(t, s); got != "" || !errors.As(err, &failure) || !failure.RetryAt.After(time.Now()) {
			t.Errorf("got %q, %v after its end", got, err)
		}
	})
}

func TestARefusedTokenIsDroppedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{lifetime: time.Hour}
		s := e.source()
		old, _ := s.Get(t.Context(), time.Now().Add(time.Second))
		time.Sleep(young)
		for range 20 {
			if !s.Refused(old) {
				t.Error("no other token is to be had")
			}
			want(t, s, "token-2")
		}
		if e.fetches() != 2 {
			t.Errorf("%d fetches for one token that was refused 20 times", e.fetches())
		}
	})
}

func TestATokenThatIsAlwaysRefusedIsNotFetchedForEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{lifetime: time.Hour}
		s := e.source()
		for range 60_000 / 10 { // a minute
			token, err := s.Get(t.Context(), time.Now().Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			s.Refused(token)
			time.Sleep(10 * time.Millisecond)
		}
		if n := e.fetches(); n > 7 {
			t.Errorf("%d fetches in a minute", n)
		}
	})
}
