//go:build e2e

package servers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// A Redis that answers each command just within the budget must not cost a call the budget several times: it claims a
// key, takes a token and stores an outcome. Not parallel: times of answers are compared.
func TestSlowRedisCostsACallTheBudgetOnlyOnce(t *testing.T) {
	server := startRedis(t)
	n := newNetwork(t, "http://"+server.address)
	up := e2e.NewUpstream(t, echo)
	f := startFleet(t, 2, e2e.Setup{Top: onRedis(strings.TrimPrefix(n.url, "http://")), LogLevel: "error",
		Adapters: e2e.Adapter("sales", up.URL, limit(1000, 1000)) + e2e.Adapter("strict", up.URL, limit(1000, 1000), "idempotency: { store: fail_closed }")})
	f.waitShared(true, 5*time.Second)
	start := time.Now()
	l := f.traffic(40, func(pod, n int) call {
		key := fmt.Sprintf("key-%d-%d", pod, n)
		return call{"POST", []string{"/sales/orders", "/strict/orders"}[n%2], `{"order":"` + key + `"}`, key}
	})
	e2e.Until(start.Add(time.Second))
	slow := time.Now()
	n.add(t, "latency", "downstream", map[string]any{"latency": 70})
	e2e.Until(slow.Add(3 * time.Second))
	n.remove(t, "latency")
	healed := time.Now()
	back := f.waitShared(true, 5*time.Second)
	e2e.Until(time.Now().Add(time.Second))
	end := time.Now()
	samples := l.stop()
	usual, usual99 := slowest(during(samples, start, slow))
	worst, worst99 := slowest(during(samples, slow, end))
	t.Logf("%v; shared %s after Redis was quick again; longest answer %s (p99 %s) before, %s (p99 %s) since",
		outcomes(during(samples, slow, healed)), back.Round(time.Millisecond), usual, usual99, worst, worst99)
	if worst > usual+budget+busyness {
		t.Errorf("a call took %s, want at most the usual %s and %s, and %s for the machine", worst, usual, budget, busyness)
	}
	wantOutcomes(t, "on a slow Redis", samples, "201", "503 idempotency-store-unavailable")
	for _, m := range samples {
		if m.target == "/sales/orders" && m.Status != 201 {
			t.Fatalf("fail_open: %s", outcome(m))
		}
	}
	wantOwnAnswers(t, samples)
}
