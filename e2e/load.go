package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// load is traffic that must not fail.
type load struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	calls   atomic.Int64
}

// startLoad makes calls to /sales/ until it is stopped: GETs and POSTs, each over connections that are reused. A call
// that is not answered 200 fails the test.
func startLoad(t testing.TB, s *Sidecar, callersAtOnce int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	t.Cleanup(cancel)
	for i := range callersAtOnce {
		l.running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				method, body := http.MethodGet, ""
				if i%2 == 0 {
					method, body = http.MethodPost, fmt.Sprintf(`{"caller":%d,"n":%d}`, i, n)
				}
				a, err := s.Try(t.Context(), method, "/sales/load", body)
				if err != nil || a.Status != http.StatusOK {
					t.Errorf("call %d of the load (%s) failed: status %d %.200q: %v", n, method, a.Status, a.Body, err)
					return
				}
				l.calls.Add(1)
			}
		})
	}
	return l
}

// stop lets the calls under way finish and returns how many there were.
func (l *load) stop() int64 {
	l.cancel()
	l.running.Wait()
	return l.calls.Load()
}
