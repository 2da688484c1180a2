package policy

import (
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// BenchmarkSign measures one signature of a POST of 1 KiB with three fields, in each scheme.
func BenchmarkSign(b *testing.B) {
	h := testHost(b, "", testSettings())
	plain := builtInSign(keep(b, []byte("k")))
	plain.Content = "{timestamp}.{body}"
	for _, c := range []struct {
		name string
		sign *Sign
	}{{schemePlain, plain}, {schemeWebhooks, webhooks(b, whsec)}, {schemeMessage, messages(b, signature.HMACSHA256, "k")},
		{schemeMessage + " ed25519", messages(b, signature.Ed25519, edPrivate)}, {schemeAWS, amazon(b)}} {
		stage, err := sign(c.sign, h, secret.NewResolver())
		if err != nil {
			b.Fatal(err)
		}
		next := stage(func(*Exchange) (*wire.Response, error) { return nil, nil })
		x := &Exchange{Ctx: b.Context(), Start: time.Now(), Key: Key{Value: "order-7"}, Request: wire.Request{Method: "POST", Target: "/orders?x=1", Body: wire.Body{Bytes: make([]byte, 1024)}}}
		x.Request.Fields = wire.Fields{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Correlation-ID", Value: "corr-1"}, {Name: "X-Idempotency-Key", Value: "order-7"}}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.attempt = x.Request
				x.attempt.Fields = x.Request.Fields.Clone(4)
				if _, err := next(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
