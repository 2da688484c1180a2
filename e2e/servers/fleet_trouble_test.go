//go:build e2e

package servers

import (
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

const (
	budget   = 100 * time.Millisecond // the default of redis.budget
	busyness = 100 * time.Millisecond // what a machine with other work to do may add to any answer
)

// echo answers with the body it got, so that an answer cannot be taken for another's, and with the number of the hit.
func echo(w http.ResponseWriter, _ *http.Request, h e2e.Hit) {
	w.Header().Set("X-Hit", fmt.Sprint(h.N))
	if h.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = io.WriteString(w, h.Body)
}

// slowEcho is echo after d.
func slowEcho(d time.Duration) e2e.Reply {
	return func(w http.ResponseWriter, r *http.Request, h e2e.Hit) {
		e2e.Until(time.Now().Add(d)) // the provider's own time
		echo(w, r, h)
	}
}

// wantOwnAnswers fails the test when a successful write was answered with what belongs to another body.
func wantOwnAnswers(t *testing.T, samples []sample) {
	t.Helper()
	for _, m := range samples {
		if m.Status == 201 && m.Body != m.body {
			t.Fatalf("%s through pod %d with key %s and body %s was answered %.200q", m.target, m.pod, m.key, m.body, m.Body)
		}
	}
}

// mixed are writes with a key of their own, writes with a key that comes through all pods, and limited reads.
func mixed(pod, n int) call {
	unique, shared := fmt.Sprintf("own-%d-%d", pod, n), fmt.Sprintf("shared-%d", n)
	switch n % 4 {
	case 0:
		return call{"POST", "/sales/orders", `{"order":"` + unique + `"}`, unique}
	case 1:
		return call{"POST", "/sales/orders", `{"order":"` + shared + `"}`, shared}
	default:
		return call{"GET", "/limited/a", "", ""}
	}
}

// trouble is something that happens to the Redis of a fleet.
type trouble struct {
	redis  string // the redis block
	begin  func()
	end    func()        // Redis is there again when it returns
	within time.Duration // in which the fleet must be back on shared state
}

// troubles are those that a fleet must survive without a failed or slow call, by name.
func troubles() map[string]func(t *testing.T) trouble {
	return map[string]func(t *testing.T) trouble{
		"stopped and started": func(t *testing.T) trouble {
			s := startRedis(t)
			return trouble{onRedis(s.address), func() { s.end(syscall.SIGTERM) }, func() { lasts(4 * time.Second); s.launch() }, 5 * time.Second}
		},
		"hung": func(t *testing.T) trouble {
			s := startRedis(t)
			return trouble{onRedis(s.address), func() { s.signal(syscall.SIGSTOP) }, func() { lasts(4 * time.Second); s.signal(syscall.SIGCONT) }, 5 * time.Second}
		},
		"failed over": func(t *testing.T) trouble {
			w := startWatched(t, 3)
			return trouble{onRedis(addresses(w.sentinels), "master_name: "+w.name), func() { w.master.end(syscall.SIGKILL) }, func() { w.waitFailover(t) }, 10 * time.Second}
		},
		"failed over while hung": func(t *testing.T) trouble { // the old master comes back and takes itself for one, for a moment
			w := startWatched(t, 1)
			return trouble{onRedis(addresses(w.sentinels), "master_name: "+w.name), func() { w.master.signal(syscall.SIGSTOP) },
				func() { w.waitFailover(t); w.master.signal(syscall.SIGCONT) }, 10 * time.Second}
		},
	}
}

// lasts is how long an outage goes on.
func lasts(d time.Duration) { e2e.Until(time.Now().Add(d)) }

// ride is what a fleet went through: two seconds of health, the trouble, and some time afterwards.
type ride struct {
	start, broken, healed, shared, end time.Time // trouble from broken to healed; state shared again from shared on
	samples                            []sample
}

// through takes the fleet through x under l, and does down while it does without Redis.
func (f *fleet) through(x trouble, l *traffic, down func()) ride {
	f.t.Helper()
	r := ride{start: time.Now()}
	e2e.Until(r.start.Add(2 * time.Second))
	r.broken = time.Now()
	x.begin()
	noticed := f.waitShared(false, 3*time.Second)
	down()
	x.end()
	r.healed = time.Now()
	back := f.waitShared(true, x.within)
	r.shared = time.Now()
	e2e.Until(r.shared.Add(3 * time.Second))
	f.wantShared(true)
	r.end = time.Now()
	r.samples = l.stop()
	f.t.Logf("noticed after %s, trouble for %s, back on shared state %s after Redis was", noticed.Round(time.Millisecond),
		r.healed.Sub(r.broken).Round(time.Millisecond), back.Round(time.Millisecond))
	return r
}

// wantWithinBudget fails the test when a call took longer than the slowest of healthy days and the budget.
func (r ride) wantWithinBudget(t *testing.T) {
	t.Helper()
	usual, usual99 := slowest(during(r.samples, r.start, r.broken))
	worst, worst99 := slowest(during(r.samples, r.broken, r.end))
	t.Logf("%v; longest answer %s (p99 %s) before, %s (p99 %s) since", outcomes(r.samples), usual, usual99, worst, worst99)
	if worst > usual+budget+busyness {
		t.Errorf("an answer took %s, want at most the usual %s and %s, and %s for the machine", worst, usual, budget, busyness)
	}
}

// Not parallel, but for its rows: times of answers are compared.
func TestTroubleWithRedisCostsNoCallMoreThanTheBudget(t *testing.T) {
	const pods, capacity, rate = 3, 20, 20
	for name, prepare := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := prepare(t)
			up, limited := e2e.NewUpstream(t, echo), e2e.NewUpstream(t, e2e.OK("ok"))
			f := startFleet(t, pods, e2e.Setup{Top: x.redis, LogLevel: "error",
				Adapters: e2e.Adapter("sales", up.URL) + e2e.Adapter("limited", limited.URL, limit(capacity, rate))})
			f.waitShared(true, 5*time.Second)
			r := f.through(x, f.traffic(80, mixed), func() {
				f.wantShared(false)
				f.wantDegraded()
				f.pods[0].Post(t, "/sales/orders", `{"down":1}`, keyField("while-down")).WantStatus(t, 201)
			})
			wantOutcomes(t, "under fail_open", r.samples, "200", "201", "429 rate-limited")
			wantOwnAnswers(t, r.samples)
			r.wantWithinBudget(t)
			wantWithin(t, "before", arrivalTimes(limited.Hits(), r.start, r.broken), capacity, rate)
			wantWithin(t, "without Redis", arrivalTimes(limited.Hits(), r.broken, r.shared), pods*capacity, pods*rate)
			wantWithin(t, "afterwards", arrivalTimes(limited.Hits(), r.shared, r.end), capacity, rate)
			f.wantReplayEverywhere("key-after", up)
			f.wantLateOutcomes(up)
		})
	}
}

// wantDegraded fails the test unless the metrics say that calls do without Redis.
func (f *fleet) wantDegraded() {
	f.t.Helper()
	for _, series := range []string{`integration_degraded_calls_total{adapter_id="sales",policy="idempotency"}`,
		`integration_degraded_calls_total{adapter_id="limited",policy="rate_limit"}`, `integration_redis_commands_total{result="refused"}`} {
		e2e.Eventually(f.t, series+" to grow", func() bool { return f.sum(series) > 0 })
	}
}

// wantLateOutcomes shows that what a pod did without Redis is known to all once Redis is back.
func (f *fleet) wantLateOutcomes(up *e2e.Upstream) {
	f.t.Helper()
	e2e.Eventually(f.t, "Redis to take what was done without it", func() bool { return f.sum("integration_idempotency_pending_outcomes") == 0 })
	before := up.Count()
	for pod, s := range f.pods {
		a := s.Post(f.t, "/sales/orders", `{"down":1}`, keyField("while-down"))
		if a.Status != 201 || a.Header.Get("Idempotency-Replayed") != "true" {
			f.t.Errorf("pod %d answers %d, replayed %q, to a key that pod 0 finished during the outage", pod, a.Status, a.Header.Get("Idempotency-Replayed"))
		}
	}
	up.WantCount(f.t, before)
}

// wantReplayEverywhere shows that the pods share outcomes: what one has done, all others replay.
func (f *fleet) wantReplayEverywhere(key string, up *e2e.Upstream) {
	f.t.Helper()
	before := up.Count()
	for pod, s := range f.pods {
		a := s.Post(f.t, "/sales/orders", `{"after":1}`, keyField(key))
		a.WantStatus(f.t, 201)
		if replayed := a.Header.Get("Idempotency-Replayed") == "true"; replayed != (pod > 0) {
			f.t.Errorf("pod %d: replayed %v", pod, replayed)
		}
	}
	up.WantCount(f.t, before+1)
}
