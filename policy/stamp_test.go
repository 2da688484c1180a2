package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestACorrelationIDIsTakenOrMade(t *testing.T) {
	for id, taken := range map[string]bool{"a": true, "Order-1/2:3~!": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a\tb": false, "ä": false, "a\x7f": false} {
		got := Correlate(wire.Fields{{Name: "x-correlation-id", Value: id}})
		if taken && got != id {
			t.Errorf("%q became %q", id, got)
		}
		if made, err := uuid.Parse(got); !taken && (err != nil || made.Version() != 7) {
			t.Errorf("%q became %q, want a UUIDv7", id, got)
		}
	}
	if first, second := Correlate(nil), Correlate(nil); first == second {
		t.Error("two calls got the same id")
	}
}

func contextCall(t *testing.T) *Exchange {
	x := testExchange(t, "POST", "/", "")
	for _, f := range []wire.Field{{Name: "x-tenant-id", Value: "acme"}, {Name: "X-User-ID", Value: "u1"}, {Name: "baggage", Value: "k=v"},
		{Name: "Traceparent", Value: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, {Name: "X-Correlation-Id", Value: "not valid!\x01"}, {Name: "Accept", Value: "*/*"}} {
		x.Request.Fields.Add(f.Name, f.Value)
	}
	return x
}

func TestTheContextStopsHereUnlessTheAdapterSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		forward []string
		sent    []string
	}{
		"nothing":    {nil, nil},
		"tenant":     {[]string{"tenant"}, []string{"X-Tenant-ID"}},
		"user":       {[]string{"user"}, []string{"X-User-ID"}},
		"baggage":    {[]string{"baggage"}, []string{"Baggage"}},
		"everything": {[]string{"tenant", "user", "baggage"}, []string{"X-Tenant-ID", "X-User-ID", "Baggage"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, x := testSettings(), contextCall(t)
			s.Context.Forward = c.forward
			if _, err := stamp(s, nil)(play(t, answered(200)).next)(x); err != nil {
				t.Fatal(err)
			}
			f := x.Request.Fields
			if x.Tenant != "acme" || x.User != "u1" || x.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" {
				t.Errorf("read %q %q %q", x.Tenant, x.User, x.TraceID)
			}
			if len(f) != 3+len(c.sent) || f.Get("X-Correlation-ID") != "corr-1" || !f.Has("Traceparent") || !f.Has("Accept") {
				t.Errorf("sent %v", f)
			}
			for _, field := range c.sent {
				if !f.Has(field) {
					t.Errorf("%s is not sent", field)
				}
			}
		})
	}
}

func TestTheApplicationMayShortenItsDeadline(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 2 * time.Minute, "5s": 5 * time.Second, "800ms": 800 * time.Millisecond, "3h": 2 * time.Minute, "2m": 2 * time.Minute,
		"5": -1, "soon": -1, "0s": -1, "-5s": -1, "9999999999999h": -1} {
		x := testExchange(t, "GET", "/", "")
		x.Deadline = time.Time{}
		if text != "" {
			x.Request.Fields.Add("X-Request-Timeout", text)
		}
		_, err := stamp(testSettings(), nil)(func(*Exchange) (*wire.Response, error) { return nil, nil })(x)
		if want < 0 {
			if kindOf(err) != problem.InvalidRequest {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil || !x.Deadline.Equal(x.Start.Add(want)) || x.shortened != (want < 2*time.Minute) || x.Request.Fields.Has("X-Request-Timeout") {
			t.Errorf("%q: deadline after %v, shortened %v, %v, %v", text, x.Deadline.Sub(x.Start), x.shortened, err, x.Request.Fields)
		}
	}
}
