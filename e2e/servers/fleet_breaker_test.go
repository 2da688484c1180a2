//go:build e2e

package servers

import (
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// A provider that is down is found out once, not by every pod for itself.
func TestBreakersOfAFleet(t *testing.T) {
	t.Parallel()
	const pods, threshold = 4, 5
	for share, most := range map[string]int{"redis": threshold, "off": pods * threshold} {
		t.Run(share, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			up := e2e.NewUpstream(t, e2e.Status(500))
			f := startFleet(t, pods, e2e.Setup{Top: onRedis(server.address), Adapters: e2e.Adapter("sales", up.URL, "retry: off",
				"breaker: { failure_threshold: 5, reset_timeout: 60s, share: "+share+" }")})
			f.waitShared(true, 5*time.Second)
			for range threshold {
				f.pods[0].Get(t, "/sales/a").WantStatus(t, 500)
			}
			f.pods[0].Get(t, "/sales/a").WantProblem(t, 503, "circuit-open")
			took := time.Duration(0)
			if share == "redis" {
				took = eventually(t, 5*time.Second, "all breakers to be open", func() bool {
					for _, s := range f.pods {
						if s.BreakerState(t, "sales") != 2 {
							return false
						}
					}
					return true
				})
			}
			for _, s := range f.pods[1:] {
				for range threshold {
					s.Get(t, "/sales/a")
				}
				s.Get(t, "/sales/a").WantProblem(t, 503, "circuit-open")
			}
			t.Logf("share: %s: the provider saw %d failing calls before all of %d pods refused; the others knew after %s", share, up.Count(), pods, took.Round(time.Millisecond))
			up.WantCount(t, most)
		})
	}
}
