//go:build e2e

package servers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// A full Redis still answers whoever reads, and refuses whoever writes.
func TestFullRedisIsDoneWithout(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(pod, n int) call{"keys and limits": mixed, "keys alone": writes, "nothing to do": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			up := e2e.NewUpstream(t, echo)
			f := startFleet(t, 2, e2e.Setup{Top: onRedis(server.address), LogLevel: "error",
				Adapters: e2e.Adapter("sales", up.URL) + e2e.Adapter("limited", up.URL, limit(1000, 1000)) +
					e2e.Adapter("strict", up.URL, "idempotency: { store: fail_closed }")})
			f.waitShared(true, 5*time.Second)
			var samples []sample
			if next == nil {
				f.whileFull(server)
			} else {
				l := f.traffic(60, next)
				f.whileFull(server)
				samples = l.stop()
			}
			t.Logf("%v", outcomes(samples))
			wantOutcomes(t, "on a full Redis", samples, "200", "201", "429 rate-limited")
			wantOwnAnswers(t, samples)
			f.wantShared(true)
			f.wantReplayEverywhere("key-after", up)
		})
	}
}

// whileFull fills the Redis of the fleet, waits until all pods have noticed, and makes room again.
func (f *fleet) whileFull(server *redisServer) {
	f.t.Helper()
	const junk = 300
	for i := range junk {
		server.do("SET", fmt.Sprint("junk:", i), strings.Repeat("x", 10_000))
	}
	server.do("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "2mb") // full, with a margin for what comes and goes
	before, full := server.do("DBSIZE").(int64), time.Now()
	e2e.Until(full.Add(3 * time.Second)) // of calls
	if grown := server.do("DBSIZE").(int64) - before; grown > 0 {
		f.t.Errorf("%d keys were written to a Redis that is full and must not evict: it grows past its maxmemory", grown)
	}
	for _, s := range f.pods { // the prober looks every second, and three times
		message := ""
		eventually(f.t, 3*time.Second, "health to warn of a full Redis", func() bool {
			status, said := redisCheck(f.t, s)
			message = said
			return status == "warn"
		})
		if !strings.Contains(message, "OOM") {
			f.t.Errorf("health says %q, want it to name OOM", message)
		}
	}
	if a := f.pods[0].Post(f.t, "/strict/orders", "{}", keyField("full")); a.Kind() != "idempotency-store-unavailable" {
		f.t.Errorf("a write under fail_closed was answered %d %.200s, want idempotency-store-unavailable", a.Status, a.Body)
	}
	for i := range junk {
		server.do("DEL", fmt.Sprint("junk:", i))
	}
	back := f.waitShared(true, 5*time.Second)
	f.t.Logf("back on shared state %s after there was room", back.Round(time.Millisecond))
}

// A Redis that lets nobody in, or nobody write, is no reason not to start.
func TestRedisThatRefusesUsIsWarnedOf(t *testing.T) {
	t.Parallel()
	const users = "user default off\nuser test on >test ~* &* +@all\n"
	for name, c := range map[string]struct{ users, login, says string }{
		"wrong password":      {users, "username: test", "WRONGPASS"},
		"no password":         {users, "", "NOAUTH"},
		"no right to write":   {users + "user reader on >wrong ~* +@read +@connection +eval +evalsha +info", "username: reader", "NOPERM"},
		"keys of somebody":    {users + "user other on >wrong ~other:* +@all", "username: other", "NOPERM"},
		"nobody listens":      {"", "", "refused"},
		"a name that is none": {"", "", "lookup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := e2e.FreeAddr(t)
			switch {
			case c.users != "":
				at = redisSetup{directives: []string{c.users}, username: "test", password: "test"}.start(t).address
			case c.says == "lookup":
				at = "redis.invalid:6379"
			}
			more := []string{}
			if c.login != "" {
				more = append(more, c.login, "password: env:REDIS_PASSWORD")
			}
			up := e2e.NewUpstream(t, echo)
			f := startFleet(t, 1, e2e.Setup{Top: onRedis(at, more...), Env: []string{"REDIS_PASSWORD=wrong"},
				Adapters: e2e.Adapter("sales", up.URL, limit(100, 100)) + e2e.Adapter("strict", up.URL, "idempotency: { store: fail_closed }")})
			f.waitShared(false, 5*time.Second)
			f.wantShared(false)
			if _, message := redisCheck(t, f.pods[0]); !strings.Contains(message, c.says) {
				t.Errorf("health says %q, want it to name %s", message, c.says)
			}
			f.pods[0].Post(t, "/sales/orders", `{"a":1}`, keyField("k")).WantStatus(t, 201)
			f.pods[0].Post(t, "/strict/orders", `{"a":1}`, keyField("k")).WantProblem(t, 503, "idempotency-store-unavailable")
			f.pods[0].Get(t, "/strict/orders").WantStatus(t, 200)
			if log := f.pods[0].Log.String(); strings.Contains(log, "wrong\"") || !strings.Contains(log, "edis") {
				t.Errorf("the log holds the password, or says nothing of Redis:\n%s", log)
			}
		})
	}
}
