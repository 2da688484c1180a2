package policy

import (
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// allPolicies switches every policy of a production adapter on, with limits that a benchmark does not reach.
func allPolicies(s *Settings) {
	honoured(s)
	s.Auth = &Auth{Bearer: "env:BENCH_SECRET"}
	s.Sign = builtInSign("env:BENCH_SECRET")
	s.Sign.Content = "{timestamp}.{body}"
	s.Validate = &Validate{Methods: []string{"GET", "POST"}, ContentTypes: []string{"application/json"}}
	s.Host.RateLimit = &RateLimit{Capacity: 1_000_000, RefillRate: 1_000_000, Per: "adapter", MaxWait: units.Duration(time.Second)}
}

// benchCall is a POST of 1 KiB; a key made by the sidecar is not remembered, so no disk is measured.
func benchCall(r *rig, body []byte) *Exchange {
	x := &Exchange{Ctx: r.t.Context(), Start: time.Now(), Adapter: r.host.Identity, Target: "/orders", CorrelationID: "corr-1",
		Request: wire.Request{Method: "POST", Target: "/orders", Body: wire.Body{Bytes: body}}}
	x.Request.Fields = make(wire.Fields, 0, 8)
	x.Request.Fields.Add("Content-Type", "application/json")
	x.Request.Fields.Add("X-Tenant-ID", "acme")
	return x
}

// BenchmarkChain measures all policies and no network: what transmit does is left out.
func BenchmarkChain(b *testing.B) {
	b.Setenv("BENCH_SECRET", "s3cret")
	r := newRig(b, "", quick(allPolicies))
	s := quick(allPolicies)
	signature, err := sign(s.Sign, r.host, r.deps.Secrets)
	if err != nil {
		b.Fatal(err)
	}
	content := []byte(`{"ok":true}`)
	next := Next(func(x *Exchange) (*wire.Response, error) {
		x.Attempts = append(x.Attempts, dlq.Attempt{Number: 1, Status: 200, Sent: true})
		return &wire.Response{Status: 200, Content: content}, nil
	})
	for _, stage := range []Stage{signature, credentials(s.Auth, r.host, r.deps.Secrets), breakStage(r.host), limitStage(r.host), attempts(s, r.host),
		keyStages(s, r.host.Identity, r.keys), validate(s), stamp(s), deadLetter(s, r.host.Identity, r.spool),
		observe(s, r.host, r.deps.Metrics.Adapter("bench"), r.deps.Log)} {
		next = stage(next)
	}
	benchmark(b, r, next)
}

// BenchmarkChainToUpstream measures the same with the engine, to a system on this machine.
func BenchmarkChainToUpstream(b *testing.B) {
	b.Setenv("BENCH_SECRET", "s3cret")
	u := upstream.Always(b, upstream.JSON(200, `{"ok":true}`))
	r := newRig(b, u.URL(), quick(allPolicies))
	benchmark(b, r, r.next)
}

func benchmark(b *testing.B, r *rig, next Next) {
	body := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := next(benchCall(r, body))
		if err != nil || resp.Status != 200 {
			b.Fatal(resp, err)
		}
	}
}
