package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// pair starts two sidecars of one application, in front of one Redis. (Real servers, more sidecars and trouble of all
// kinds are in e2e/servers.)
func pair(t *testing.T, redis *miniredis.Miniredis, upstream string, policies ...string) (a, b *Sidecar) {
	t.Helper()
	c := Setup{Adapters: Adapter("sales", upstream, policies...), Top: "redis: { addresses: [" + redis.Addr() + "] }"}
	return Start(t, c), Start(t, c)
}

func TestAnOutcomeIsReplayedByEverySidecar(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	a, b := pair(t, miniredis.RunT(t), up.URL)
	first := a.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	second := b.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	up.WantCount(t, 1)
	if first.Status != 201 || second.Status != 201 || second.Body != first.Body || second.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %q, then %d %q", first.Status, first.Body, second.Status, second.Body)
	}
	b.Post(t, "/sales/orders", `{"a":2}`, keyOne).WantProblem(t, 422, "idempotency-key-reused")
	if _, err := os.Stat(filepath.Join(a.SpoolDir(), "keys.db")); err == nil {
		t.Error("a file of keys beside Redis")
	}
}

func TestALimitIsTheLimitOfAllSidecars(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	a, b := pair(t, miniredis.RunT(t), up.URL, "rate_limit: { capacity: 6, refill_rate: 0.01 }")
	passed := 0
	for range 5 {
		for _, s := range []*Sidecar{a, b} {
			if s.Get(t, "/sales/a").Status == 200 {
				passed++
			}
		}
	}
	up.WantCount(t, 6)
	if passed != 6 {
		t.Errorf("%d calls passed, want 6", passed)
	}
	b.Get(t, "/sales/a").WantProblem(t, 429, "rate-limited")
}

func TestA429OfTheProviderHoldsUpEverySidecar(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(429, "Retry-After: 30"), OK("ok"))
	a, b := pair(t, miniredis.RunT(t), up.URL, "rate_limit: { capacity: 100, refill_rate: 1 }\nretry: off")
	a.Get(t, "/sales/a").WantStatus(t, 429)
	Eventually(t, "the other sidecar to be told", func() bool { return b.Get(t, "/sales/a").Header.Get("Proxy-Status") != "" })
	if after := b.Get(t, "/sales/a").Header.Get("Retry-After"); len(after) != 2 || after > "30" {
		t.Errorf("Retry-After %q, want what is left of 30 s", after)
	}
}

func TestWithoutRedisCallsGoOnAsThePolicySays(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	up := NewUpstream(t, numbered)
	open, closed := pair(t, redis, up.URL, "rate_limit: { capacity: 5, refill_rate: 0.01 }")
	closed.Write(Setup{Adapters: Adapter("sales", up.URL, "idempotency: { store: fail_closed }"), Top: closed.Setup.Top})
	closed.Hangup()
	Eventually(t, "the new configuration", func() bool { return strings.Contains(closed.Log.String(), "configuration reloaded") })
	redis.Close()
	first := open.Post(t, "/sales/orders", "{}", keyOne)
	again := open.Post(t, "/sales/orders", "{}", keyOne)
	if first.Status != 201 || again.Status != 201 || again.Body != first.Body {
		t.Errorf("fail_open: %d %q, then %d %q", first.Status, first.Body, again.Status, again.Body)
	}
	refused := closed.Post(t, "/sales/orders", "{}", keyOne)
	if p := refused.WantProblem(t, 503, "idempotency-store-unavailable"); !p.Retryable || refused.Header.Get("Retry-After") == "" {
		t.Errorf("fail_closed: %+v, Retry-After %q", p, refused.Header.Get("Retry-After"))
	}
	closed.Get(t, "/sales/orders").WantStatus(t, 201)
	Eventually(t, "the health to warn", func() bool {
		return strings.Contains(open.Get(t, "http://"+open.Probes+"/health").Body, `"redis":{"status":"warn"`)
	})
	open.Metrics(t).Want(t, "integration_redis_up", 0)
	if r := open.Command(t, "status"); !strings.Contains(r.Stdout, "DOWN") {
		t.Errorf("status says\n%s", r.Stdout)
	}
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "what was kept to be shared", func() bool {
		m := open.Metrics(t)
		return m["integration_redis_up"] == 1 && m["integration_idempotency_pending_outcomes"] == 0
	})
	Eventually(t, "the other to use Redis again", func() bool { return closed.Metrics(t)["integration_redis_up"] == 1 })
	if a := closed.Post(t, "/sales/orders", "{}", keyOne); a.Body != first.Body || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the other sidecar: %d %q, want the first answer again", a.Status, a.Body)
	}
}
