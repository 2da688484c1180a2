package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// problemIn reads an answer of the sidecar's own and checks what all of them have.
func problemIn(t *testing.T, a answer) map[string]any {
	t.Helper()
	var doc map[string]any
	if a.err != nil || a.Response == nil || json.Unmarshal([]byte(a.body), &doc) != nil {
		t.Fatalf("no problem: %v %q %v", a.Response, a.body, a.err)
	}
	if a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Proxy-Status") == "" || a.Header.Get("X-Correlation-Id") == "" ||
		doc["correlation_id"] != a.Header.Get("X-Correlation-Id") || doc["status"] != float64(a.StatusCode) {
		t.Errorf("fields %v, document %v", a.Header, doc)
	}
	return doc
}

func kindIn(t *testing.T, a answer) string {
	t.Helper()
	kind, _ := problemIn(t, a)["type"].(string)
	return strings.TrimPrefix(kind, "urn:integration-sidecar:problem:")
}

func TestCallsThatReachNoAdapter(t *testing.T) {
	r := serve(t, erp(upstream.Script(t).URL(), "validate: { methods: [GET, POST], content_types: [application/json] }", "max_body: 10B", "idempotency: { required: true }"))
	for _, c := range []struct {
		method, target string
		body           string
		fields         []string
		status         int
		kind           string
	}{
		{"GET", "/", "", nil, 404, "no-adapter"},
		{"GET", "/unknown/x", "", nil, 404, "no-adapter"},
		{"GET", "/ERP/", "", nil, 404, "no-adapter"},
		{"OPTIONS", "*", "", nil, 404, "no-adapter"},
		{"TRACE", "/erp/", "", nil, 405, "method-not-allowed"},
		{"CONNECT", "erp.test:443", "", nil, 405, "method-not-allowed"},
		{"DELETE", "/erp/x", "", nil, 405, "method-not-allowed"},
		{"GET", "/erp/../x", "", nil, 400, "invalid-request"},
		{"GET", "/erp/a/%2e%2e/..%2fx", "", nil, 400, "invalid-request"},
		{"GET", "/erp/x", "", []string{"X-Request-Timeout", "soon"}, 400, "invalid-request"},
		{"GET", "/erp/x", "<a/>", []string{"Content-Type", "text/xml"}, 415, "content-type-not-allowed"},
		{"POST", "/erp/x", `{"a":"too long"}`, []string{"Content-Type", "application/json"}, 413, "body-too-large"},
		{"POST", "/erp/x", "{}", []string{"Content-Type", "application/json"}, 400, "idempotency-key-required"},
		{"GET", "/erp/x", "", []string{"Via", "1.1 " + r.server.pseudonym}, 508, "loop-detected"},
	} {
		a := r.call(c.method, c.target, c.body, c.fields...)
		if a.StatusCode != c.status || kindIn(t, a) != c.kind {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.target, a.StatusCode, a.body, c.status, c.kind)
		}
		if allow := a.Header.Get("Allow"); (allow != "") != (c.status == 405) {
			t.Errorf("%s %s: Allow: %q", c.method, c.target, allow)
		}
	}
	if n := strings.Count(r.log.String(), `"msg":"exchange"`); n != 14 {
		t.Errorf("%d of 14 exchanges are logged", n)
	}
}

func TestAnAdapterIsFoundByItsHost(t *testing.T) {
	u := upstream.Always(t, upstream.OK("found"))
	r := serve(t, erp(u.URL()+"/base")+crm("https://crm.example.com"))
	for _, c := range []struct {
		host, target string
		status       int
		arrived      string
	}{
		{u.Addr(), "/orders", 200, "/base/orders"},
		{u.Addr(), "http://" + u.Addr() + "/orders?x", 200, "/base/orders?x"},
		{u.Addr(), "/erp/orders", 200, "/base/orders"}, // the path comes first
		{"other.test", "/orders", 404, ""},
	} {
		a := r.raw(r.addr(), "GET", "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: close\r\n\r\n")
		seen := u.Requests()
		if a.StatusCode != c.status || c.arrived != "" && seen[len(seen)-1].Target != c.arrived {
			t.Errorf("%s at %s: %v", c.target, c.host, a.Response)
		}
	}
	for host, want := range map[string]bool{"crm.example.com": true, "CRM.example.com": true, "crm.example.com:443": true, "crm.example.com:80": false, "crm.example.com.": false} {
		if a, _, _, _ := r.server.snapshot.Load().find(listenKey("", anyPort), "/x", host); (a != nil) != want {
			t.Errorf("Host %s: found %v", host, a != nil)
		}
	}
}

func TestAFailedWriteNamesItsLetter(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503, "sorry"), upstream.CloseAfterRead())
	r := serve(t, erp(u.URL()))
	a := r.call("POST", "/erp/", "{}")
	if id := a.Header.Get("X-Dead-Letter-Id"); a.StatusCode != 503 || a.body != "sorry" || len(r.letters()) != 1 || r.letters()[0].ID != id {
		t.Errorf("%v %q", a.Response, a.body)
	}
	a = r.call("POST", "/erp/", "{}")
	doc := problemIn(t, a)
	if a.StatusCode != 502 || doc["dead_letter_id"] != a.Header.Get("X-Dead-Letter-Id") || doc["dead_letter_id"] == nil ||
		doc["adapter_id"] != "erp-main" || doc["attempts"] != 1.0 || doc["retryable"] != false {
		t.Errorf("%v", doc)
	}
	_ = r.deps.Letters.Close()
	for _, method := range []string{"POST", "GET"} {
		r.server.find("erp").host.Breaker.Open()
		a = r.call(method, "/erp/", "")
		if want := map[string]string{"POST": "unavailable", "GET": ""}[method]; a.StatusCode != 503 || a.Header.Get("X-Dead-Letter") != want || a.Header.Get("X-Dead-Letter-Id") != "" {
			t.Errorf("%s: %v", method, a.Response)
		}
	}
}

func TestStatusAndHealthTellWhatIsWrong(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfterRead(), upstream.OK(""))
	r := serve(t, erp(u.URL()+"/api", "rate_limit: { capacity: 5, refill_rate: 1 }")+crm(u.URL(), "breaker: off"))
	health := func(want, erpStatus string) {
		t.Helper()
		if h := r.server.Health(); h.Status != want || h.Checks["erp-main"].Status != erpStatus || h.Checks["crm"].Status != "pass" || h.Timestamp.IsZero() {
			t.Errorf("%+v", h)
		}
	}
	health("healthy", "pass")
	_ = r.call("POST", "/erp/", "{}")
	health("degraded", "warn")
	_ = r.call("GET", "/erp/", "")
	health("healthy", "pass")
	for _, err := range []error{r.server.SetBreaker("ERP-main", BreakerOpen), r.server.SetBreaker("erp", BreakerOpen)} {
		if err != nil {
			t.Error(err)
		}
	}
	health("degraded", "fail")
	s := r.server.Status()
	if !s.Ready || s.Draining || s.Version != "v1" || len(s.Adapters) != 2 || s.Spool.Letters[string(dlq.Dead)] != 1 || s.Spool.Oldest == nil {
		t.Fatalf("%+v", s)
	}
	e, c := s.Adapters[0], s.Adapters[1]
	if e.Name != "erp" || e.ID != "erp-main" || e.Version != "1.2.3" || e.Upstream != u.URL()+"/api" ||
		e.Breaker.State != "open" || !e.Breaker.Manual || e.Limiter == nil || e.Limiter.Capacity != 5 || e.OpenLetter != 1 {
		t.Errorf("%+v", e)
	}
	if c.ID != "crm" || c.Breaker.State != "off" || c.Limiter != nil {
		t.Errorf("%+v", c)
	}
	if r.server.SetBreaker("nobody", BreakerOpen) != ErrUnknownAdapter || r.server.SetBreaker("crm", BreakerOpen) != ErrBreakerOff || r.server.SetBreaker("erp", "explode") == nil {
		t.Error("a control that cannot be was accepted")
	}
	for _, action := range []BreakerAction{BreakerClose, BreakerReset} {
		if err := r.server.SetBreaker("erp", action); err != nil || r.server.Status().Adapters[0].Breaker.State != "closed" {
			t.Errorf("%s: %v", action, err)
		}
	}
	if err := r.server.Use(document(t, erp(u.URL()))); err != nil {
		t.Fatal(err)
	}
	_ = r.server.SetBreaker("erp", BreakerOpen)
	if h := r.server.Health(); h.Status != "unhealthy" || !r.server.Ready() {
		t.Errorf("every adapter fails: %+v; ready %v", h, r.server.Ready())
	}
}

func TestReloadsAreRemembered(t *testing.T) {
	r := newRig(t, nil)
	r.server.NoteReload("a.yaml", "")
	good := r.server.Status().Reload
	r.server.NoteReload("a.yaml", "a.yaml:1:1: x")
	bad := r.server.Status().Reload
	if !good.Success || good.File != "a.yaml" || bad.Success || bad.Error == "" || bad.Time.Before(good.Time) || r.server.Ready() {
		t.Errorf("%+v, then %+v", good, bad)
	}
}

func TestGaugesAreReadWhereTheirValuesLive(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503))
	r := serve(t, erp(u.URL(), "breaker: { failure_threshold: 1, success_threshold: 1, reset_timeout: 1h }", "rate_limit: { capacity: 5, refill_rate: 0.001 }"))
	_ = r.call("POST", "/erp/", "{}")
	got := map[string]float64{}
	families, err := r.deps.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetGauge().GetValue()
		}
	}
	for name, least := range map[string]float64{"integration_circuit_breaker_state": 2, "integration_rate_limit_tokens": 4, "integration_letters": 1,
		"integration_open_letters": 1, "integration_spool_bytes": 1, "integration_spool_max_bytes": 1 << 30} {
		if got[name] < least {
			t.Errorf("%s is %v, want %v at least", name, got[name], least)
		}
	}
	if got["integration_in_flight_requests"] != 0 || got["integration_circuit_breaker_state"] != 2 {
		t.Errorf("gauges %v", got)
	}
}

func TestARequestThatIsNoHTTPIsAnsweredAsAProblem(t *testing.T) {
	r := serve(t, erp(upstream.Script(t).URL()))
	for _, request := range []string{"NONSENSE\r\n\r\n", "GET /erp/ HTTP/1.1\r\n\r\n", "GET /erp/ HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n",
		"POST /erp/ HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
		"GET /erp/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "POST /erp/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"} {
		a := r.raw(r.addr(), http.MethodGet, request)
		if a.Response == nil || a.StatusCode != 400 || a.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(a.body)) {
			t.Errorf("%q: %v %q", request, a.Response, a.body)
		}
	}
	a := r.raw(r.addr(), http.MethodPost, "POST /erp/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	if a.StatusCode != 400 || kindIn(t, a) != "invalid-request" || !a.Close {
		t.Errorf("a malformed body: %v %q", a.Response, a.body)
	}
}
