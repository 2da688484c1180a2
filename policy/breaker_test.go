package policy

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestEveryClassHasItsEffectOnTheBreaker(t *testing.T) {
	for name, c := range map[string]struct {
		outcome outcome
		want    BreakerState
	}{
		"200":           {answered(200), BreakerClosed},
		"404":           {answered(404), BreakerClosed},
		"429":           {answered(429), BreakerClosed},
		"408":           {answered(408), BreakerClosed},
		"501":           {answered(501), BreakerClosed},
		"500":           {answered(500), BreakerOpened},
		"refused":       {broke(problem.UpstreamUnreachable, false), BreakerOpened},
		"timeout":       {broke(problem.UpstreamTimeout, true), BreakerOpened},
		"total timeout": {broke(problem.TotalTimeout, true), BreakerOpened},
		"truncated":     {broke(problem.BadUpstreamResponse, true), BreakerOpened},
		"client gone":   {outcome{err: ErrCanceled}, BreakerClosed},
		"credentials":   {stopped(problem.CredentialsUnavailable), BreakerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			s.Host.Breaker.FailureThreshold = 1
			h := testHost(t, "", s)
			_, _ = breakStage(h)(play(t, c.outcome).next)(testExchange(t, "GET", "/", ""))
			if got := h.Breaker.State(); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestAStreamIsJudgedByItsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		body  io.Reader
		leave bool
		want  int // failures in a row, after one that came before
	}{
		"to its end":    {strings.NewReader("whole"), false, 0},
		"broken off":    {io.MultiReader(strings.NewReader("ha"), brokenBody{}), false, 2},
		"left half way": {io.MultiReader(strings.NewReader("ha"), brokenBody{}), true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h, x := testHost(t, "", testSettings()), testExchange(t, "GET", "/", "")
			_, _ = breakStage(h)(play(t, answered(500)).next)(x)
			cancel := cancelable(x)
			defer cancel()
			resp, err := breakStage(h)(func(*Exchange) (*wire.Response, error) {
				return &wire.Response{Status: 200, Stream: io.NopCloser(c.body), Length: -1}, nil
			})(x)
			if err != nil || h.Breaker.Failures() != 1 {
				t.Fatalf("%v, %d failures before the stream ended", err, h.Breaker.Failures())
			}
			if c.leave {
				cancel()
			}
			_, _ = io.Copy(io.Discard, resp.Stream)
			resp.Close()
			if got := h.Breaker.Failures(); got != c.want {
				t.Errorf("%d failures, want %d", got, c.want)
			}
		})
	}
}

func TestTheApplicationsImpatienceIsNotTheSystemsFailure(t *testing.T) {
	s := testSettings()
	s.Host.Breaker.FailureThreshold = 1
	h, x := testHost(t, "", s), testExchange(t, "GET", "/", "")
	x.shortened = true
	_, _ = breakStage(h)(play(t, broke(problem.TotalTimeout, true)).next)(x)
	if h.Breaker.State() != BreakerClosed {
		t.Error("a deadline the application shortened opened the breaker")
	}
}

func TestAnOpenBreakerAnswersWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Host.Breaker.FailureThreshold = 1
		h := testHost(t, "", s)
		stage := breakStage(h)
		_, _ = stage(play(t, answered(500)).next)(testExchange(t, "GET", "/", ""))
		wait(15 * time.Second)
		_, err := stage(play(t).next)(testExchange(t, "GET", "/", ""))
		p, ok := err.(*problem.Problem)
		if !ok || p.Kind != problem.CircuitOpen || p.RetryAfter != 45*time.Second {
			t.Errorf("got %v", err)
		}
		h.Breaker.Open()
		if _, err = stage(play(t).next)(testExchange(t, "GET", "/", "")); err.(*problem.Problem).RetryAfter != 60*time.Second || !strings.Contains(err.Error(), "operator") {
			t.Errorf("held open: %v", err)
		}
	})
}

func TestAPanickingProbeGivesItsPermitBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSettings()
		s.Host.Breaker.FailureThreshold, s.Host.Breaker.SuccessThreshold = 1, 1
		h := testHost(t, "", s)
		stage := breakStage(h)
		_, _ = stage(play(t, answered(500)).next)(testExchange(t, "GET", "/", ""))
		wait(time.Minute)
		func() {
			defer func() { _ = recover() }()
			_, _ = stage(func(*Exchange) (*wire.Response, error) { panic("bug") })(testExchange(t, "GET", "/", ""))
		}()
		if _, err := stage(play(t, answered(200)).next)(testExchange(t, "GET", "/", "")); err != nil {
			t.Fatalf("the permit is lost: %v", err)
		}
		if h.Breaker.State() != BreakerClosed {
			t.Errorf("%v after a good probe", h.Breaker.State())
		}
	})
}

func TestBreakerOffLetsEverythingThrough(t *testing.T) {
	s := testSettings()
	s.Host.Breaker = nil
	if breakStage(testHost(t, "", s)) != nil {
		t.Error("a breaker that is off is a stage")
	}
}
