package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Only what is on disk is answered 202: every exchange that was accepted before a kill is delivered after it.
func TestNoAcceptedExchangeIsLostInCrashes(t *testing.T) {
	t.Parallel()
	seen := &letterBook{ids: map[string]bool{}}
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		seen.mu.Lock()
		seen.ids[h.Header.Get("X-Idempotency-Key")] = true
		seen.mu.Unlock()
		w.WriteHeader(201)
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, asyncHonours)})
	var mu sync.Mutex
	told := map[string]string{} // key → Location
	for round := range 8 {
		stop, before := make(chan struct{}), len(told)
		var load sync.WaitGroup
		for w := range 8 {
			load.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					key := fmt.Sprintf("k-%d-%d-%d", round, w, i)
					a, err := s.Try(t.Context(), "POST", "/sales/orders", `{"a":1}`, "X-Idempotency-Key: "+key)
					if err != nil {
						return
					}
					mu.Lock()
					told[key] = a.Header.Get("Location")
					mu.Unlock()
				}
			})
		}
		Eventually(t, "some to be accepted", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) > before+30 })
		s.Kill9()
		close(stop)
		load.Wait()
		s.Restart()
	}
	for key, location := range told {
		if location == "" {
			t.Fatalf("%s was not accepted", key)
		}
		s.ended(t, location, "delivered")
		seen.mu.Lock()
		if !seen.ids[key] {
			t.Errorf("%s is delivered and never came", key)
		}
		seen.mu.Unlock()
	}
	if letters := s.Letters(t); len(letters) != 0 {
		t.Errorf("%d letters of a provider that honours keys", len(letters))
	}
	t.Logf("%d accepted over 8 kills, %d requests", len(told), up.Count())
}

// asyncCrash accepts one exchange, kills the sidecar while the provider works on it, and starts it again.
func asyncCrash(t *testing.T, policy string, fields ...string) (*Sidecar, *Upstream, string) {
	t.Helper()
	return asyncCrashWith(t, "", policy, func() {}, fields...)
}

// asyncCrashWith is asyncCrash with more keys of the document, and what happens while the sidecar is gone.
func asyncCrashWith(t *testing.T, top, policy string, meanwhile func(), fields ...string) (*Sidecar, *Upstream, string) {
	t.Helper()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered), numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, policy), Top: top})
	location := s.accepted(t, `{"a":1}`, fields...)
	gate.WaitEntered(t)
	s.Kill9()
	meanwhile()
	s.Restart()
	return s, up, location
}

func TestCrashInMidDeliveryNeverActsTwice(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{"own key": {keyOne}, "fresh key": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, up, location := asyncCrash(t, async, fields...)
			x := s.ended(t, location, "failed")
			up.WantCount(t, 1)
			if x.Problem == nil || x.Problem.Type != problemPrefix+"outcome-unknown" || x.LetterID == "" || x.Status != 409 {
				t.Fatalf("it is %+v", x)
			}
			l := s.Letter(t, x.LetterID)
			if l.Error.Type != "outcome_unknown" || string(l.OriginalMessage.Body) != `{"a":1}` {
				t.Errorf("letter type %q body %q", l.Error.Type, l.OriginalMessage.Body)
			}
			s.Get(t, x.Response).WantProblem(t, 409, "outcome-unknown")
			if fields != nil {
				if again := s.accepted(t, `{"a":1}`, fields...); again != location {
					t.Errorf("the same key is accepted anew at %s though its outcome is unknown", again)
				}
			}
		})
	}
}

func TestCrashInMidDeliveryIsSentAgainToAnHonouringProvider(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{"own key": {keyOne}, "fresh key": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, up, location := asyncCrash(t, asyncHonours, fields...)
			s.ended(t, location, "delivered")
			hits := up.WantCount(t, 2)
			if a, b := hits[0].Header.Get("X-Idempotency-Key"), hits[1].Header.Get("X-Idempotency-Key"); a != b || a == "" {
				t.Errorf("sent with the keys %q and %q", a, b)
			}
		})
	}
}

// The keys are in Redis, which may have forgotten the claim of the process that died.
func TestCrashInMidDeliveryWithRedisNeverActsTwice(t *testing.T) {
	t.Parallel()
	for name, forgets := range map[string]bool{"the claim is there": false, "the claim is forgotten": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := miniredis.RunT(t)
			top := "redis: { addresses: [" + redis.Addr() + "] }"
			s, up, location := asyncCrashWith(t, top, async, func() {
				if forgets {
					redis.FlushAll()
				}
			})
			if x := s.ended(t, location, "failed"); x.Problem == nil || x.Problem.Type != problemPrefix+"outcome-unknown" || x.LetterID == "" {
				t.Errorf("it is %+v", x)
			}
			up.WantCount(t, 1)
		})
	}
}
