//go:build e2e

package servers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// writes are keyed writes, each key through all pods at about the same time, and reads.
func writes(_, n int) call {
	if n%4 == 0 {
		return call{"GET", "/sales/a", "", ""}
	}
	key := fmt.Sprintf("key-%d", n)
	return call{"POST", "/sales/orders", `{"order":"` + key + `"}`, key}
}

// Not parallel, but for its rows: times of answers are compared.
func TestFailClosedRefusesWritesAndServesReads(t *testing.T) {
	for name, prepare := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := prepare(t)
			up := e2e.NewUpstream(t, echo)
			f := startFleet(t, 3, e2e.Setup{Top: x.redis, LogLevel: "error", Adapters: e2e.Adapter("sales", up.URL, "idempotency: { store: fail_closed }")})
			f.waitShared(true, 5*time.Second)
			r := f.through(x, f.traffic(60, writes), func() {
				a := f.pods[0].Post(t, "/sales/orders", "{}", keyField("while-down"))
				if p := a.WantProblem(t, 503, "idempotency-store-unavailable"); !p.Retryable || a.Header.Get("Retry-After") == "" || p.Attempts != 0 {
					t.Errorf("refused with %+v and Retry-After %q, want it to be retryable, soon, with no attempt", p, a.Header.Get("Retry-After"))
				}
			})
			wantOutcomes(t, "before", during(r.samples, r.start, r.broken), "200", "201")
			wantOutcomes(t, "without Redis", during(r.samples, r.broken, r.shared), "200", "201", "503 idempotency-store-unavailable")
			wantOutcomes(t, "afterwards", during(r.samples, r.shared, r.end), "200", "201")
			wantOwnAnswers(t, r.samples)
			r.wantWithinBudget(t)
			refused := map[string]call{}
			for _, m := range r.samples {
				if m.method == "GET" && m.Status != 200 {
					t.Fatalf("a read was answered %s", outcome(m))
				}
				if m.Kind() == "idempotency-store-unavailable" {
					refused[m.key] = m.call
				}
			}
			if len(refused) == 0 {
				t.Errorf("no write was refused")
			}
			f.wantDoneInTheEnd(refused, name == "hung", up)
		})
	}
}

// wantDoneInTheEnd repeats writes that were refused, as the application would: each must be done now. Where Redis lost
// nothing, the provider must have seen no key twice.
func (f *fleet) wantDoneInTheEnd(refused map[string]call, nothingLost bool, up *e2e.Upstream) {
	f.t.Helper()
	undone := map[string]int{}
	for key, c := range refused {
		a := f.pods[0].Do(f.t, c.method, c.target, c.body, jsonBody, keyField(key), "X-Request-Timeout: 1s")
		if a.Status != 201 {
			undone[fmt.Sprint(a.Status, " ", a.Kind())]++
		}
	}
	if len(undone) > 0 {
		f.t.Errorf("of %d keys refused for want of Redis, these are not done by a repeat afterwards: %v", len(refused), undone)
	}
	twice := 0
	for key, n := range executions(f.t, up.Hits()) {
		if n > 1 {
			if twice++; nothingLost && twice <= 5 {
				f.t.Errorf("the provider saw %s %d times, although Redis lost nothing and the store is fail_closed", key, n)
			}
		}
	}
	f.t.Logf("%d refused keys repeated; %d keys were executed more than once", len(refused), twice)
}

// executions counts the writes the provider got by the order they name.
func executions(t *testing.T, hits []e2e.Hit) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, h := range hits {
		var body struct{ Order string }
		if h.Method == http.MethodPost && strings.Contains(h.Body, "order") {
			must(t, json.Unmarshal([]byte(h.Body), &body))
			counts[body.Order]++
		}
	}
	return counts
}
