//go:build e2e

package servers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// rights is the least that a sidecar needs in Redis, as a rule of its access control list: the keys under the prefix,
// the scripts, and what they call (hincrby and pttl for breaker.share; hgetall for accepted calls; info for the warning of
// an eviction policy), and the stream of letters.
const rights = "~integration-sidecar:* ~integration.dlq -@all +evalsha +eval +time +get +set +del +hget +hmget +hset +hdel +hgetall +hincrby +pexpire +pttl +info +multi +exec +xadd"

func TestEveryKindOfRedisIsShared(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (e2e.Setup, *redisServer){
		"TLS and a user with the least rights": func(t *testing.T) (e2e.Setup, *redisServer) {
			ca := newAuthority(t)
			s := redisSetup{tls: ca, username: "test", password: "test", directives: []string{"tls-auth-clients yes", "user default off",
				"user test on >test ~* &* +@all", "user sidecar on >secret resetchannels " + rights}}.start(t)
			cert, key := ca.valid(t, "sidecar")
			return e2e.Setup{Env: []string{"REDIS_PASSWORD=secret"}, Top: onRedis(s.address, "username: sidecar", "password: env:REDIS_PASSWORD",
				"tls: { ca: file:"+ca.file+", cert: file:"+cert+", key: file:"+key+" }")}, s
		},
		"password": func(t *testing.T) (e2e.Setup, *redisServer) {
			s := redisSetup{password: "secret", directives: []string{"requirepass secret"}}.start(t)
			return e2e.Setup{Env: []string{"REDIS_PASSWORD=secret"}, Top: onRedis(s.address, "password: env:REDIS_PASSWORD", "prefix: other-app")}, s
		},
		"one sentinel": func(t *testing.T) (e2e.Setup, *redisServer) {
			w := startWatched(t, 1)
			return e2e.Setup{Top: onRedis(addresses(w.sentinels), "master_name: "+w.name)}, w.master
		},
		"cluster of three": func(t *testing.T) (e2e.Setup, *redisServer) {
			nodes := startCluster(t)
			return e2e.Setup{Top: onRedis(addresses(nodes))}, nil
		},
		"cluster by one address": func(t *testing.T) (e2e.Setup, *redisServer) {
			nodes := startCluster(t)
			return e2e.Setup{Top: onRedis(nodes[1].address, "cluster: true")}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const pods, capacity, rate = 3, 20, 50
			c, server := start(t)
			up, limited := e2e.NewUpstream(t, slowly(100*time.Millisecond)), e2e.NewUpstream(t, e2e.OK("ok"))
			failing := e2e.NewUpstream(t, e2e.Status(500))
			c.LogLevel, c.Adapters = "error", e2e.Adapter("sales", up.URL)+e2e.Adapter("limited", limited.URL, limit(capacity, rate))+
				e2e.Adapter("failing", failing.URL, "retry: off", "breaker: { failure_threshold: 1, share: redis }")+e2e.Adapter("later", up.URL, "delivery: async")
			f := startFleet(t, pods, c)
			f.waitShared(true, 5*time.Second)
			for range 5 { // keys of several nodes
				wantOneCall(t, f, up, 10)
			}
			f.pods[0].Post(t, "/failing/a", "{}").WantStatus(t, 500) // leaves a letter, which goes to the stream
			e2e.Eventually(t, "the last pod to hear of the outage", func() bool { return f.pods[pods-1].BreakerState(t, "failing") == 2 })
			f.wantShownByAll("/later/orders")
			begin := time.Now()
			l := f.traffic(100, get("/limited/a"))
			e2e.Until(begin.Add(3 * time.Second))
			samples := l.stop()
			wantOutcomes(t, "at six times the limit", samples, "200", "429 rate-limited")
			at := arrivalTimes(limited.Hits(), begin, time.Now())
			wantWithin(t, "three seconds", at, capacity, rate)
			if least := capacity + 3*rate*9/10; len(at) < least {
				t.Errorf("%d calls passed, want at least %d: capacity and nine tenths of what was refilled", len(at), least)
			}
			done, failed := f.sum(`integration_redis_commands_total{result="ok"}`), f.sum(`integration_redis_commands_total{result="failed"}`)
			t.Logf("%v commands done, %v failed", done, failed)
			if failed > done/100 || f.sum(`integration_redis_commands_total{result="refused"}`) > 0 { // a busy machine may let one run out of its budget
				t.Errorf("%v of %v commands failed, or some were refused", failed, failed+done)
			}
			f.wantShared(true)
			if strings.Contains(c.Top, "username") {
				wantLeastRights(t, server)
			}
		})
	}
}

// wantLeastRights fails the test when something was denied, or when rights allows what nobody used.
func wantLeastRights(t *testing.T, server *redisServer) {
	t.Helper()
	if denied, _ := server.do("ACL", "LOG").([]any); len(denied) > 0 {
		t.Errorf("the user was denied: %v", denied)
	}
	used := server.calls()
	for right := range strings.FieldsSeq(rights) {
		if command, allowed := strings.CutPrefix(right, "+"); allowed && used[command] == 0 && command != "del" { // of a bucket that is full again when a token is given back
			t.Errorf("%s is allowed and never used", command)
		}
	}
	var names []string
	for name, n := range used {
		names = append(names, fmt.Sprint(name, " ", n))
	}
	slices.Sort(names)
	t.Logf("user … on >… resetchannels %s; commands used: %v", rights, names)
}
