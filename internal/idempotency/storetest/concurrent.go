package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
)

func testWaiters(t *testing.T, s Subject) {
	steps := map[string]func(key string, owner idempotency.Owner) error{
		"finish": func(key string, o idempotency.Owner) error {
			return s.Store.Finish(t.Context(), scopeOf(key), o, outcome("ok"), ttl)
		},
		"release": func(key string, o idempotency.Owner) error { return s.Store.Release(t.Context(), scopeOf(key), o) },
		"abandon": func(key string, o idempotency.Owner) error { return s.Store.Abandon(t.Context(), scopeOf(key), o, ttl) },
	}
	for key, step := range steps {
		owner := begin(t, s.Store, request(key, "x"), idempotency.Granted).Owner
		var waiters sync.WaitGroup
		for range 10 {
			done := begin(t, s.Store, request(key, "x"), idempotency.InFlight).Done
			waiters.Go(func() { <-done })
		}
		check(t, step(key, owner))
		waiters.Wait()
	}
}

func testOneGranted(t *testing.T, s Subject) {
	const callers = 200
	var wg sync.WaitGroup
	granted := make(chan idempotency.Decision, callers)
	for range callers {
		wg.Go(func() {
			for {
				d, err := s.Store.Begin(t.Context(), request("a", "x"))
				switch {
				case err != nil:
					t.Error(err)
					return
				case d.Verdict == idempotency.Granted:
					granted <- d
					if err := s.Store.Finish(t.Context(), scopeOf("a"), d.Owner, outcome("once"), ttl); err != nil {
						t.Error(err)
					}
					return
				case d.Verdict == idempotency.InFlight:
					<-d.Done
				case d.Verdict != idempotency.Replay || string(d.Outcome.Body) != "once":
					t.Errorf("decision %+v", d)
					return
				default:
					return
				}
			}
		})
	}
	wg.Wait()
	if len(granted) != 1 {
		t.Fatalf("%d of %d were granted the key", len(granted), callers)
	}
}

func testManyKeys(t *testing.T, s Subject) {
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 10 {
				key := fmt.Sprintf("%d/%d", w, i)
				d, err := s.Store.Begin(t.Context(), request(key, key))
				if err != nil || d.Verdict != idempotency.Granted {
					t.Errorf("%s: %+v, %v", key, d, err)
					return
				}
				if err := s.Store.Finish(t.Context(), scopeOf(key), d.Owner, outcome(key), ttl); err != nil {
					t.Error(err)
				}
				d, err = s.Store.Begin(t.Context(), request(key, key))
				if err != nil || d.Verdict != idempotency.Replay || string(d.Outcome.Body) != key {
					t.Errorf("%s: %+v, %v", key, d, err)
				}
			}
		})
	}
	wg.Wait()
}
