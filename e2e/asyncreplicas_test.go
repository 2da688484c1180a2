package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// (Several hundred exchanges, stopped pods and a Redis that goes away are in e2e/servers.)
func TestWhatAKilledSidecarAcceptedIsDeliveredByAnother(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered), numbered)
	redis := miniredis.RunT(t)
	a, b := pair(t, redis, up.URL, async)
	doubted := a.accepted(t, `{"n":0}`, "X-Order-Key: one", "X-Tenant-ID: t")
	gate.WaitEntered(t)
	var locations []string
	for i := 1; i < 10; i++ {
		locations = append(locations, a.accepted(t, fmt.Sprint(i), "X-Order-Key: one", "X-Tenant-ID: t"))
	}
	Eventually(t, "all to be copied", func() bool { return a.Metrics(t)["integration_accepted_without_copy"] == 0 })
	if x := b.exchange(t, doubted, "X-Tenant-ID: t"); x.State != "running" {
		t.Errorf("under way, another sidecar shows %+v", x)
	}
	b.Get(t, doubted).WantProblem(t, 404, "exchange-not-found") // of another tenant
	a.Kill9()
	gate.Open()
	Eventually(t, "the other to take over", func() bool {
		return b.Metrics(t)[`integration_accepted_takeovers_total{direction="in"}`] == 10
	})
	x := b.ended(t, doubted, "failed", "X-Tenant-ID: t")
	if x.Problem == nil || x.Problem.Type != problemPrefix+"outcome-unknown" || x.LetterID == "" {
		t.Errorf("what was under way is %+v", x)
	}
	for _, l := range locations {
		if x := b.ended(t, l, "delivered", "X-Tenant-ID: t"); x.Status != 201 {
			t.Errorf("%s is %+v", l, x)
		}
	}
	for i, h := range up.WantCount(t, 10)[1:] {
		if h.Body != fmt.Sprint(i+1) {
			t.Errorf("the %d. is %q", i+1, h.Body)
		}
	}
	if table := b.MustCommand(t, "status").Stdout; !strings.Contains(table, "10 taken over from others") {
		t.Errorf("status says\n%s", table)
	}
	a.Restart()
	for _, l := range append(locations, doubted) { // from Redis: its own disk has them no more, or soon
		Eventually(t, "the former owner to know the end", func() bool {
			s := a.exchange(t, l, "X-Tenant-ID: t").State
			return s == "delivered" || s == "failed"
		})
	}
	up.WantCount(t, 10)
}

func TestAcceptedCallsStayOutOfRedisIfWanted(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async, "breaker: { reset_timeout: 1h }"), Top: "redis: { addresses: [" + redis.Addr() + "], max_accepted: 0B }"})
	s.MustCommand(t, "breaker", "open", "sales")
	s.accepted(t, `{"body":"stays-here"}`)
	if strings.Contains(redis.Dump(), "stays-here") {
		t.Error("it is in Redis")
	}
	if _, present := s.Metrics(t)["integration_accepted_without_copy"]; present {
		t.Error("a metric of copies that nobody wants")
	}
}

// What Redis has, another sidecar may be sending now.
func TestWithoutRedisOnlyAProviderThatHonoursKeysIsSentWhatOthersMayHave(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	up := NewUpstream(t, Status(201))
	slow := "breaker: { reset_timeout: 1h }"
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async, slow) + Adapter("honours", up.URL, asyncHonours, slow), Top: "redis: { addresses: [" + redis.Addr() + "] }"})
	locations := map[string]string{}
	for _, adapter := range []string{"sales", "honours"} {
		s.MustCommand(t, "breaker", "open", adapter)
		locations[adapter] = s.Post(t, "/"+adapter+"/orders", "{}").Header.Get("Location")
	}
	Eventually(t, "the copies", func() bool {
		return s.Metrics(t)["integration_accepted_without_copy"] == 0 && strings.Count(s.Log.String(), `"put_back":true`) == 2
	})
	redis.Close()
	for adapter := range locations {
		s.MustCommand(t, "breaker", "close", adapter)
	}
	s.ended(t, locations["honours"], "delivered")
	x := s.exchange(t, locations["sales"])
	if x.State != "accepted" && x.State != "running" { // a try begins on disk
		t.Errorf("without Redis it is %+v", x)
	}
	up.WantCount(t, 1)
	must(t, redis.Restart())
	s.ended(t, locations["sales"], "delivered")
	up.WantCount(t, 2)
}
