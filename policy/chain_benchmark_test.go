package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
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

// BenchmarkChain measures all policies and no network: what transmit does is left out, but for the spans of attempts.
func BenchmarkChain(b *testing.B) {
	for _, c := range []struct {
		name  string
		ratio float64
	}{{"spans off", -1}, {"spans of 1 percent", .01}, {"spans of all", 1}} {
		b.Run(c.name, func(b *testing.B) {
			b.Setenv("BENCH_SECRET", "s3cret")
			r := newRig(b, "", quick(allPolicies))
			if c.ratio >= 0 {
				r.deps.Tracer = telemetry.NewTracerTo(forgetful{}, c.ratio)
			}
			benchmark(b, r, withoutTransmit(b, r, quick(allPolicies)))
		})
	}
}

// withoutTransmit is the chain up to the sending.
func withoutTransmit(b *testing.B, r *rig, s *Settings) Next {
	signature, err := sign(s.Sign, r.host, r.deps.Secrets)
	if err != nil {
		b.Fatal(err)
	}
	content := []byte(`{"ok":true}`)
	next := Next(func(x *Exchange) (*wire.Response, error) {
		x.sends()
		x.Attempts = append(x.Attempts, dlq.Attempt{Number: 1, Status: 200, Sent: true})
		return &wire.Response{Status: 200, Content: content}, nil
	})
	for _, stage := range []Stage{signature, credentials(s.Auth, r.host, r.deps.Secrets), breakStage(r.host), limitStage(r.host), attempts(s, r.host),
		keyStages(s, r.host.Identity, r.keys), validate(s), stamp(s, r.deps.Tracer), deadLetter(s, r.host.Identity, r.spool),
		observe(s, r.host, r.deps)} {
		next = stage(next)
	}
	return next
}

// forgetful takes spans and keeps none: to keep them is the work of another goroutine.
type forgetful struct{ sdktrace.SpanProcessor }

func (forgetful) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (forgetful) OnEnd(sdktrace.ReadOnlySpan)                     {}

// BenchmarkChainToUpstream measures the same with the engine, to a system on this machine.
func BenchmarkChainToUpstream(b *testing.B) {
	b.Setenv("BENCH_SECRET", "s3cret")
	u := upstream.Always(b, upstream.JSON(200, `{"ok":true}`))
	r := newRig(b, u.URL(), quick(allPolicies))
	benchmark(b, r, r.next)
}

// BenchmarkChainWithContract measures the chain without a network once more with a schema and both programs, over an order
// of 1 KiB, beside the same call without them: what they cost is the difference.
func BenchmarkChainWithContract(b *testing.B) {
	order := []byte(`{"orderId":"o-1","lines":[` + strings.Repeat(`{"sku":"part-000001","quantity":12,"price":12.50,"note":"as agreed"},`, 13) + `{"sku":"x","quantity":1}]}`)
	answer := []byte(`{"result":{"id":"o-1","state":"accepted","lines":14},"errors":[]}`)
	schema := checked(b, `{"type":"object","required":["orderId","lines"],"properties":{"orderId":{"type":"string"},"lines":{"type":"array",
		"items":{"type":"object","required":["sku","quantity"],"properties":{"sku":{"type":"string"},"quantity":{"type":"integer","minimum":1},"price":{"type":"number"}}}}}}`)
	for _, c := range []struct {
		name  string
		edits []func(*Settings)
	}{
		{"off", nil}, {"schema", []func(*Settings){schema}}, {"request", []func(*Settings){transforming("{order: .orderId, items: .lines}", "")}},
		{"response", []func(*Settings){transforming("", ".result")}}, {"classify", []func(*Settings){judging(".errors | length > 0", "partial_failure")}},
		{"all", []func(*Settings){schema, transforming("{order: .orderId, items: .lines}", ".result"), judging(".errors | length > 0", "partial_failure")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newRig(b, "", quick(append(c.edits, honoured)...))
			next := contractChain(b, r, quick(append(c.edits, honoured)...), answer)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := next(benchCall(r, order)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// contractChain is a chain whose end answers at once.
func contractChain(b *testing.B, r *rig, s *Settings, answer []byte) Next {
	b.Helper()
	verdict, err := newVerdict(s.Classify)
	if err != nil {
		b.Fatal(err)
	}
	programs, err := transform(s, verdict)
	if err != nil {
		b.Fatal(err)
	}
	schema, err := conform(s)
	if err != nil {
		b.Fatal(err)
	}
	next := Next(func(x *Exchange) (*wire.Response, error) {
		x.Attempts = append(x.Attempts, dlq.Attempt{Number: 1, Status: 200, Sent: true})
		return &wire.Response{Status: 200, Fields: wire.Fields{{Name: "Content-Type", Value: "application/json"}}, Content: answer}, nil
	})
	for _, stage := range []Stage{marked(verdict), breakStage(r.host), attempts(s, r.host), keyStages(s, r.host.Identity, r.keys), programs, schema, validate(s),
		pin(r.host.Identity), stamp(s, r.deps.Tracer), deadLetter(s, r.host.Identity, r.spool), observe(s, r.host, r.deps)} {
		if stage != nil {
			next = stage(next)
		}
	}
	return next
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
