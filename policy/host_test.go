package policy

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// derive makes a host that follows h, with edited settings.
func derive(t *testing.T, h *Host, s *Settings, rawURL string) *Host {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	next, err := NewHost(HostConfig{Identity: h.Identity, Upstream: u, Settings: s}, h)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestAReloadKeepsTheStateOfWhatDidNotChange(t *testing.T) {
	const same = "http://erp.test"
	for name, c := range map[string]struct {
		edit                     func(*Settings)
		url                      string
		breaker, limiter, engine bool // kept
	}{
		"nothing":       {func(*Settings) {}, same, true, true, true},
		"a retry":       {func(s *Settings) { s.Retry.MaxRetries = 9 }, same, true, true, true},
		"the breaker":   {func(s *Settings) { s.Host.Breaker.FailureThreshold = 9 }, same, false, true, true},
		"the limit":     {func(s *Settings) { s.Host.RateLimit.Capacity = 9 }, same, true, false, true},
		"the upstream":  {func(*Settings) {}, "http://erp2.test", true, true, false},
		"egress":        {func(s *Settings) { s.Host.Egress = &Egress{Deny: []string{"10.0.0.0/8"}} }, same, true, true, false},
		"TLS":           {func(s *Settings) { s.Host.TLS = &TLS{ServerName: "x"} }, same, true, true, false},
		"the time-out":  {func(s *Settings) { s.Timeout.Connect = 7 }, same, true, true, false},
		"breaker off":   {func(s *Settings) { s.Host.Breaker = nil }, same, false, true, true},
		"limit off":     {func(s *Settings) { s.Host.RateLimit = nil }, same, true, false, true},
		"equal pointer": {func(s *Settings) { b := *s.Host.Breaker; s.Host.Breaker = &b }, same, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			settings := func() *Settings {
				s := testSettings()
				s.Host.RateLimit = &RateLimit{Capacity: 2, RefillRate: 1, Per: "adapter"}
				return s
			}
			h, s := testHost(t, same, settings()), settings()
			c.edit(s)
			next := derive(t, h, s, c.url)
			if (next.Breaker == h.Breaker) != c.breaker || (next.Limiter == h.Limiter) != c.limiter || (next.engine == h.engine) != c.engine {
				t.Errorf("kept breaker %v, limiter %v, connections %v", next.Breaker == h.Breaker, next.Limiter == h.Limiter, next.engine == h.engine)
			}
			if next.budget != h.budget || next.live != h.live {
				t.Error("budget or counts were lost")
			}
		})
	}
}

func TestAnOpenBreakerStaysOpenUnderNewSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHost(t, "", testSettings())
		changed := testSettings()
		changed.Host.Breaker.ResetTimeout = units.Duration(10 * time.Second)
		for range 5 {
			spend(h.Breaker, failure)
		}
		next := derive(t, h, changed, "http://erp.test")
		if next.Breaker.State() != BreakerOpened || next.Breaker.Held() || next.Breaker.Remaining() != 10*time.Second {
			t.Errorf("%v for %v", next.Breaker.State(), next.Breaker.Remaining())
		}
		h.Breaker.Open()
		if next = derive(t, h, changed, "http://erp.test"); !next.Breaker.Held() {
			t.Error("a breaker opened by hand was let go")
		}
		h.Breaker.Close()
		if next = derive(t, h, changed, "http://erp.test"); next.Breaker.State() != BreakerClosed {
			t.Error("a closed breaker opened")
		}
	})
}

func TestAHostThatCannotBeBuiltSaysWhy(t *testing.T) {
	u, _ := url.Parse("https://erp.test")
	for name, edit := range map[string]func(*Settings){
		"no CA file":   func(s *Settings) { s.Host.TLS = &TLS{CA: "file:/nowhere/ca.pem"} },
		"no cert file": func(s *Settings) { s.Host.TLS = &TLS{Cert: "file:/nowhere/c.pem", Key: "file:/nowhere/k.pem"} },
		"bad CIDR":     func(s *Settings) { s.Host.Egress = &Egress{Allow: []string{"10.0.0.0"}} },
	} {
		s := testSettings()
		edit(s)
		if _, err := NewHost(HostConfig{Identity: testIdentity(), Upstream: u, Settings: s}, nil); err == nil {
			t.Errorf("%s: built all the same", name)
		}
	}
}

func TestTheLastAttemptIsRemembered(t *testing.T) {
	h := testHost(t, "", testSettings())
	if h.LastFailure() != "" || h.LastLatency() != 0 || h.InFlight() != 0 {
		t.Error("a new host remembers something")
	}
	h.live.answered(3*time.Millisecond, &wire.Response{Status: 200})
	h.live.failed("upstream-timeout")
	if h.LastFailure() != "upstream-timeout" || h.LastLatency() != 3*time.Millisecond {
		t.Errorf("%q, %v", h.LastFailure(), h.LastLatency())
	}
	h.live.answered(5*time.Millisecond, &wire.Response{Status: 404})
	if h.LastFailure() != "" || h.LastLatency() != 5*time.Millisecond {
		t.Errorf("%q, %v", h.LastFailure(), h.LastLatency())
	}
}

// Renewed files are followed without a reload, and a reload keeps what follows them.
func TestAReloadKeepsWhatFollowsTheTLSFiles(t *testing.T) {
	d := newTLSDir(t, newPKI(t, "one").pem(), nil, nil)
	settings := func() *Settings {
		s := testSettings()
		s.Host.TLS = &TLS{CA: d.ref("ca")}
		return s
	}
	h := testHost(t, "https://erp.test", settings())
	before := h.engine.current()
	d.write("ca", newPKI(t, "two").pem())
	if next := derive(t, h, settings(), "https://erp.test"); next.engine != h.engine {
		t.Error("a reload without a change made new connections")
	}
	h.engine.looked.Store(0)
	if h.engine.current() == before {
		t.Error("the renewed file was not taken")
	}
}
