//go:build e2e

package servers

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

func limit(capacity, rate int) string {
	return fmt.Sprintf("rate_limit: { capacity: %d, refill_rate: %d }", capacity, rate)
}

func get(target string) func(pod, n int) call {
	return func(int, int) call { return call{method: "GET", target: target} }
}

// Not parallel: the numbers would be those of the other tests' load.
func TestFourPodsKeepOneLimit(t *testing.T) {
	const pods, capacity, rate, seconds = 4, 50, 50, 30
	server := startRedis(t)
	up := e2e.NewUpstream(t, e2e.OK("ok"))
	f := startFleet(t, pods, e2e.Setup{Top: onRedis(server.address), LogLevel: "error", Adapters: e2e.Adapter("sales", up.URL, limit(capacity, rate))})
	f.waitShared(true, 5*time.Second)
	before := scripts(server.calls())
	start := time.Now()
	// Ten times the limit exactly, in step: a token comes at every tenth call, which the same two of four pods would make.
	l := f.traffic(125, get("/sales/a"))
	e2e.Until(start.Add(seconds * time.Second))
	samples := l.stop()
	asked := scripts(server.calls()) - before
	wantOutcomes(t, "at ten times the limit", samples, "200", "429 rate-limited")
	at := arrivalTimes(up.Hits(), start, time.Now())
	steady := arrivalTimes(up.Hits(), start.Add(2*time.Second), start.Add(seconds*time.Second))
	got := float64(len(steady)) / (seconds - 2)
	longest, p99 := slowest(samples)
	t.Logf("%d calls, %d passed; %.2f/s after the burst, limit %d/s; %d scripts in Redis; answers within %s, p99 %s", len(samples), len(at), got, rate, asked, longest, p99)
	if math.Abs(got-rate) > 0.03*rate {
		t.Errorf("%.2f calls a second, want %d ± 3 %%", got, rate)
	}
	wantWithin(t, "the whole run", at, capacity, rate)
	wantFairShares(t, up.Hits(), pods, 0.15)
}

// wantFairShares fails the test when a pod's part is further from the mean than allowed.
func wantFairShares(t *testing.T, hits []e2e.Hit, pods int, allowed float64) {
	t.Helper()
	shares := make([]int, pods)
	for _, h := range hits {
		var pod int
		_, err := fmt.Sscan(h.Header.Get("X-Pod"), &pod)
		must(t, err)
		shares[pod]++
	}
	mean := float64(len(hits)) / float64(pods)
	t.Logf("shares of the pods: %v, mean %.1f", shares, mean)
	for pod, n := range shares {
		if math.Abs(float64(n)-mean) > allowed*mean {
			t.Errorf("pod %d sent %d, want the mean of %.1f ± %.0f %%", pod, n, mean, 100*allowed)
		}
	}
}
