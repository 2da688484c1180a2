package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestCorrelationIDIsTakenOrMade(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok", "X-Correlation-ID: of-the-provider"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	cases := []struct {
		name, sent string
		kept       bool
	}{
		{"taken", "order-4711/a:b", true},
		{"longest", strings.Repeat("x", 128), true},
		{"absent", "", false},
		{"too long", strings.Repeat("x", 129), false},
		{"not ASCII", "caf\u00e9", false},
		{"a space inside", "a b", false},
	}
	seen := map[string]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var fields []string
			if c.sent != "" {
				fields = append(fields, "X-Correlation-ID: "+c.sent)
			}
			a := s.Get(t, "/sales/a", fields...)
			a.WantStatus(t, 200)
			returned, sentOn := a.Header.Values("X-Correlation-Id"), up.Last(t).Header.Values("X-Correlation-Id")
			if len(returned) != 1 || len(sentOn) != 1 || returned[0] != sentOn[0] {
				t.Fatalf("returned %q, sent on %q; want the same single id", returned, sentOn)
			}
			if c.kept && returned[0] != c.sent {
				t.Errorf("id %q became %q, want it kept", c.sent, returned[0])
			}
			if !c.kept && !uuid7.MatchString(returned[0]) {
				t.Errorf("id %q became %q, want a new UUIDv7", c.sent, returned[0])
			}
			if seen[returned[0]] {
				t.Errorf("id %q was given twice", returned[0])
			}
			seen[returned[0]] = true
		})
	}
}

func TestCallContextIsNotTheProvidersBusiness(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL) + Adapter("partner", up.URL, "context: { forward: [tenant, user, baggage] }")})
	private := []string{"X-Tenant-ID: acme", "X-User-ID: u-1", "baggage: plan=gold"}
	s.Get(t, "/sales/a", private...).WantStatus(t, 200)
	for _, name := range []string{"X-Tenant-Id", "X-User-Id", "Baggage"} {
		if got := up.Last(t).Header.Values(name); len(got) > 0 {
			t.Errorf("%s %q reached the provider", name, got)
		}
	}
	s.Get(t, "/partner/a", private...).WantStatus(t, 200)
	for name, want := range map[string]string{"X-Tenant-Id": "acme", "X-User-Id": "u-1", "Baggage": "plan=gold"} {
		if got := up.Last(t).Header.Get(name); got != want {
			t.Errorf("%s is %q at a provider that is told it, want %q", name, got, want)
		}
	}
}

func TestTraceparentContinues(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	s.Get(t, "/sales/a", "traceparent: 00-"+trace+"-00f067aa0ba902b7-01", "tracestate: v=1").WantStatus(t, 200)
	got := up.Last(t).Header.Get("Traceparent")
	if !regexp.MustCompile(`^00-` + trace + `-[0-9a-f]{16}-0[01]$`).MatchString(got) {
		t.Errorf("traceparent at the upstream is %q, want the trace %s to continue", got, trace)
	}
}

func TestApplicationShortensItsDeadline(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("late")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 10s, total: 20s }") +
		Adapter("quick", up.URL, "timeout: { attempt: 300ms, total: 400ms }", "retry: off")})
	a := s.Get(t, "/sales/a", "X-Request-Timeout: 300ms")
	if kind := a.Kind(); a.Status != 504 || kind != "total-timeout" && kind != "upstream-timeout" {
		t.Errorf("status %d kind %q, want 504 total-timeout or upstream-timeout", a.Status, kind)
	}
	if a.Took < 290*time.Millisecond || a.Took > 5*time.Second {
		t.Errorf("answered after %s, want about the 300ms the application gave", a.Took)
	}
	if a := s.Get(t, "/quick/a", "X-Request-Timeout: 15s"); a.Status != 504 || a.Took > 8*time.Second {
		t.Errorf("status %d after %s: the application must not lengthen the configured 400ms", a.Status, a.Took)
	}
}

func TestHopByHopFieldsEndHere(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok", "Connection: X-Upstream-Hop", "X-Upstream-Hop: 1", "Keep-Alive: timeout=5", "X-Stays: 1"))
	s := Start(t, Setup{Env: []string{"TOKEN=tok"}, Adapters: Adapter("sales", up.URL, "auth: { bearer: env:TOKEN }")})
	a := s.Do(t, http.MethodPost, "/sales/a", "{}", "Connection: X-App-Hop, X-Correlation-ID, Authorization, X-Idempotency-Key", "X-App-Hop: 1",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eDp5", "TE: gzip", "Upgrade: h2c", "X-App-Stays: 1")
	a.WantStatus(t, 200)
	h := up.Last(t).Header
	for _, name := range []string{"X-App-Hop", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Te", "Upgrade"} {
		if v, ok := h[name]; ok {
			t.Errorf("%s %q of the application reached the upstream", name, v)
		}
	}
	for _, name := range []string{"X-App-Stays", "X-Correlation-Id", "X-Idempotency-Key"} {
		if h.Get(name) == "" {
			t.Errorf("%s did not reach the upstream: fields are removed before the sidecar's own are put in", name)
		}
	}
	if got := h.Get("Authorization"); got != "Bearer tok" {
		t.Errorf("Authorization %q at the upstream, want the adapter's, although Connection names it", got)
	}
	for _, name := range []string{"X-Upstream-Hop", "Keep-Alive"} {
		if v, ok := a.Header[name]; ok {
			t.Errorf("%s %q of the upstream reached the application", name, v)
		}
	}
	if a.Header.Get("X-Stays") != "1" {
		t.Errorf("an end-to-end field of the response was lost")
	}
}
