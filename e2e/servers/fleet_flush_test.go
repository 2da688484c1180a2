//go:build e2e

package servers

import (
	"fmt"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// Somebody empties Redis again and again, under calls that hold claims, wait for them, replay and take tokens.
func TestFlushallUnderLoadBreaksNothing(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	up := e2e.NewUpstream(t, slowEcho(20*time.Millisecond))
	f := startFleet(t, 3, e2e.Setup{Top: onRedis(server.address), LogLevel: "error",
		Adapters: e2e.Adapter("sales", up.URL) + e2e.Adapter("limited", up.URL, limit(20, 20))})
	f.waitShared(true, 5*time.Second)
	start := time.Now()
	l := f.traffic(100, func(pod, n int) call {
		unique, repeated := fmt.Sprintf("own-%d-%d", pod, n), fmt.Sprintf("again-%d", n/20)
		switch n % 3 {
		case 0:
			return call{"POST", "/sales/orders", `{"order":"` + unique + `"}`, unique}
		case 1:
			return call{"POST", "/sales/orders", `{"order":"` + repeated + `"}`, repeated}
		default:
			return call{"POST", "/limited/orders", `{"order":"` + unique + `"}`, unique}
		}
	})
	flushes := 0
	for ; time.Since(start) < 4*time.Second; flushes++ {
		server.do("FLUSHALL")
		e2e.Until(time.Now().Add(37 * time.Millisecond)) // out of step with the provider's 20 ms
	}
	samples := l.stop()
	t.Logf("%d flushes, %d calls: %v", flushes, len(samples), outcomes(samples))
	// Who waited for a call whose outcome was forgotten the moment it was written is told that nobody knows it.
	wantOutcomes(t, "while somebody empties Redis", samples, "201", "429 rate-limited", "409 outcome-unknown")
	if n := outcomes(samples)["409 outcome-unknown"]; n > len(samples)/50 {
		t.Errorf("%d of %d outcomes are unknown", n, len(samples))
	}
	wantOwnAnswers(t, samples)
	f.wantShared(true)
	f.wantReplayEverywhere("key-after", up)
}
