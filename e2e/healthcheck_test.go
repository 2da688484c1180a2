package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// system is an external system with a health check that can be turned off and on; calls are always answered.
type system struct {
	up    *Upstream
	sick  atomic.Bool
	check atomic.Int64 // checks answered
}

func newSystem(t *testing.T) *system {
	s := &system{}
	s.up = NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		if r.URL.Path != "/base/up" {
			OK("ok")(w, r, h)
			return
		}
		defer s.check.Add(1)
		if s.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	return s
}

// adapterHealth is what /health says of one adapter.
func adapterHealth(t *testing.T, s *Sidecar, id string) (status, message string) {
	t.Helper()
	var h struct {
		Checks map[string]struct{ Status, Message string }
	}
	a := s.Get(t, "http://"+s.Probes+"/health")
	if err := json.Unmarshal([]byte(a.Body), &h); err != nil {
		t.Fatalf("/health is %q: %v", a.Body, err)
	}
	return h.Checks[id].Status, h.Checks[id].Message
}

func TestActiveChecksSeeAnOutageWithoutACall(t *testing.T) {
	t.Parallel()
	x := newSystem(t)
	s := Start(t, Setup{Adapters: Adapter("sales", x.up.URL+"/base", "health: { path: /up, interval: 1s, timeout: 1s }", "rate_limit: { capacity: 1, refill_rate: 0.001 }",
		breakerPolicy(1, 1, time.Hour)) + Adapter("other", x.up.URL+"/base")})
	is := func(status string) func() bool {
		return func() bool { got, _ := adapterHealth(t, s, "sales"); return got == status }
	}
	Eventually(t, "a check", func() bool { return x.check.Load() > 0 })
	x.sick.Store(true)
	Eventually(t, "the outage to show", is("fail"))
	if _, message := adapterHealth(t, s, "sales"); message != "the health check fails: it answered 503" {
		t.Errorf("message %q", message)
	}
	if r := s.MustCommand(t, "status"); !containsAll(r.Stdout, "down since ", "fail: the health check fails") {
		t.Errorf("status says\n%s", r.Stdout)
	}
	s.Get(t, "http://"+s.Probes+"/readyz").WantStatus(t, 200)
	s.Get(t, "/sales/a").WantStatus(t, 200) // checks take no token of the limit, and do not count for the breaker
	Eventually(t, "calls that succeed to count", is("warn"))
	m := s.Metrics(t)
	m.Want(t, `integration_health_check_up{adapter_id="sales"}`, 0)
	m.Want(t, `integration_circuit_breaker_changes_total{adapter_id="sales",to="open"}`, 0)
	m.Want(t, `integration_requests_total{adapter_id="sales",status="success"}`, 1)
	m.Want(t, `integration_requests_total{adapter_id="sales",status="failure"}`, 0)
	if _, ok := m[`integration_health_check_up{adapter_id="other"}`]; ok {
		t.Error("an adapter without checks has a metric of them")
	}
	x.sick.Store(false)
	Eventually(t, "the recovery to show", is("pass"))
	Eventually(t, "the line of coming back", func() bool { return len(linesWith(s.Log.String(), `"health check up"`)) == 1 }) // the log comes by a pipe
	if down := linesWith(s.Log.String(), `"health check down"`); len(down) != 1 {
		t.Errorf("%d lines of going down, want one", len(down))
	}
	a := s.Get(t, "http://"+s.Probes+"/health", "Accept: application/health+json")
	if a.Header.Get("Content-Type") != "application/health+json" || !containsAll(a.Body, `"status":"pass"`, `"sales:responseTime":[{`, `"observedUnit":"ms"`) {
		t.Errorf("health+json: %v %s", a.Header, a.Body)
	}
	s.Term()
	if code := s.Wait(patience); code != 0 {
		t.Errorf("the sidecar ended with code %d", code)
	}
	if strings.Contains(s.Log.String(), "/base/up") {
		t.Error("checks are in the log as if they were calls")
	}
}
