package policy

import (
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestATrailerCarriesNoTenantCredentialOrSignatureOfTheApplications(t *testing.T) {
	t.Setenv("TRAILER_TEST", "s3cret")
	u := upstream.Script(t, upstream.OK(""), upstream.OK(""))
	r := newRig(t, u.URL(), quick(honoured, func(s *Settings) {
		s.Idempotency.Header = "Idempotency-Key"
		s.Auth = &Auth{Bearer: "env:TRAILER_TEST"}
		s.Sign = &Sign{Scheme: schemePlain, Secret: "env:TRAILER_TEST", Header: "X-Signature", Encoding: "hex", Content: "{body}"}
	}))
	names := []string{"X-Tenant-ID", "x-user-id", "Baggage", "authorization", "X-Signature", "Idempotency-Key", "Content-Type", "X-Sum"}
	for i, body := range []string{"data", ""} {
		x := r.exchange("POST", "/", body)
		x.Request.Trailer = func() (fields wire.Fields) {
			for _, name := range names {
				fields = append(fields, wire.Field{Name: name, Value: "the application's"})
			}
			return fields
		}
		if a := r.run(x); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		got := u.Request(i + 1).Trailer
		if wanted := min(len(body), 1); len(got) != wanted || len(got["X-Sum"]) != wanted {
			t.Errorf("of %q arrived the trailer %v", body, got)
		}
	}
}
