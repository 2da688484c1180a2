package proxy

import (
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/policy"
)

// The table of docs/decisions/0026-health-and-alerts.md.
func TestHealthJoinsCallsAndChecks(t *testing.T) {
	for name, c := range map[string]struct {
		calls   string // how the adapter looks by its calls
		well    bool   // calls succeed, lately
		verdict policy.Verdict
		want    string
	}{
		"nothing known":                     {pass, false, policy.Unchecked, pass},
		"never called, up":                  {pass, false, policy.Up, pass},
		"never called, down":                {pass, false, policy.Down, fail},
		"calls succeed, unchecked":          {pass, true, policy.Unchecked, pass},
		"calls succeed, up":                 {pass, true, policy.Up, pass},
		"calls succeed, down":               {pass, true, policy.Down, warn},
		"the last call failed, unchecked":   {warn, false, policy.Unchecked, warn},
		"the last call failed, up":          {warn, false, policy.Up, warn},
		"the last call failed, down":        {warn, false, policy.Down, fail},
		"the breaker is open, unchecked":    {fail, false, policy.Unchecked, fail},
		"the breaker is open, up":           {fail, false, policy.Up, fail},
		"the breaker is open, down":         {fail, false, policy.Down, fail},
		"an old token, calls succeed, down": {warn, true, policy.Down, warn},
	} {
		check := HealthCheck{Status: c.calls, Message: map[string]string{warn: "by calls", fail: "by calls"}[c.calls]}
		check.join(policy.CheckState{Verdict: c.verdict, Why: "it answered 500"}, c.well)
		if check.Status != c.want {
			t.Errorf("%s: %s, want %s", name, check.Status, c.want)
		}
		if c.calls != pass && !strings.HasPrefix(check.Message, "by calls") || (c.want != pass) != (check.Message != "") {
			t.Errorf("%s: %q", name, check.Message)
		}
		if (c.verdict == policy.Down) != strings.Contains(check.Message, "it answered 500") {
			t.Errorf("%s: %q", name, check.Message)
		}
	}
}

func TestRecoveryShowsWithoutACall(t *testing.T) {
	u := upstream.Func(t, func(_ int, q *upstream.Seen) upstream.Step {
		if strings.HasPrefix(q.Target, "/up") {
			return upstream.OK("")
		}
		return upstream.Status(503)
	})
	r := serve(t, erp(u.URL(), "health: { path: /up, interval: 1s, timeout: 1s }"))
	r.call("GET", "/erp/x", "")
	if r.server.find("erp").host.LastFailure() == "" {
		t.Fatal("the failed call is not remembered")
	}
	eventually(t, "the checks to outlive the failure", func() bool { return r.server.Health().Checks["erp-main"].Status == pass })
}

func TestWhatChecksFindShowsEverywhereAndIsLoggedOnce(t *testing.T) {
	u := upstream.Always(t, upstream.Status(500))
	r := serve(t, erp(u.URL(), "health: { path: /up, interval: 1s, timeout: 1s }"))
	eventually(t, "three checks", func() bool { return u.Hits() >= 3 })
	if c := r.server.Health().Checks["erp-main"]; c.Status != fail || c.Message != "the health check fails: it answered 500" || c.Latency <= 0 {
		t.Errorf("health %+v", c)
	}
	if s := r.server.Status().Adapters[0]; s.Check == nil || s.Check.State != "down" || s.Check.Status != 500 || s.Check.Since == nil || s.Health != fail {
		t.Errorf("status %+v", s.Check)
	}
	if n := strings.Count(r.log.String(), "health check down"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, r.log)
	}
	if !r.server.Ready() {
		t.Error("an external system that is down made the pod unready")
	}
	if got := metric(t, r, "integration_health_check_up"); got != 0 {
		t.Errorf("integration_health_check_up %v", got)
	}
	if got := metric(t, r, "integration_adapter_health"); got != 2 {
		t.Errorf("integration_adapter_health %v", got)
	}
	if s := r.server.Status().Adapters[0].Totals; s != (Totals{}) {
		t.Errorf("checks were counted as exchanges: %+v", s)
	}
}

func TestAReloadThatChangesNothingOfTheChecksGoesOn(t *testing.T) {
	u := upstream.Always(t, upstream.OK(""))
	doc := erp(u.URL(), "health: { path: /up, interval: 24h, timeout: 1s }")
	r := serve(t, doc)
	r.server.find("erp").prober.Check(t.Context()) // the first by itself comes within hours
	if err := r.server.Use(document(t, strings.Replace(doc, "version: 1.2.3", "version: 1.2.4", 1))); err != nil {
		t.Fatal(err)
	}
	if s := r.server.Status().Adapters[0].Check; s == nil || s.State != "up" {
		t.Errorf("%+v", s)
	}
	if err := r.server.Use(document(t, erp(u.URL()))); err != nil {
		t.Fatal(err)
	}
	if s := r.server.Status().Adapters[0].Check; s != nil {
		t.Errorf("off, and still %+v", s)
	}
}

func TestAReloadBeginsAndEndsChecks(t *testing.T) {
	u := upstream.Always(t, upstream.OK(""))
	r := serve(t, erp(u.URL()))
	for range 2 {
		if err := r.server.Use(document(t, erp(u.URL(), "health: { path: /up, interval: 1s, timeout: 1s }"))); err != nil {
			t.Fatal(err)
		}
	}
	n := u.Hits()
	eventually(t, "a check", func() bool { return u.Hits() > n })
	if err := r.server.Use(document(t, erp(u.URL()))); err != nil {
		t.Fatal(err)
	}
	r.server.checks.done.Wait() // or the test hangs: nobody checks any more
}

// metric reads the only series of a gauge.
func metric(t *testing.T, r *rig, name string) float64 {
	t.Helper()
	families, err := r.deps.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no single %s", name)
	return 0
}
