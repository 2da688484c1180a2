package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestFindSaysWhereACallWouldGo(t *testing.T) {
	doc := document(t, erp("https://erp.example.com/api", "listen: 127.0.0.1:9101", "operations: [ { match: { method: POST, path: \"/orders/{id}\" } } ]")+crm("https://crm.example.com"))
	for _, c := range []struct{ method, url, adapter, operation, upstream, rule string }{
		{"POST", "/erp/orders/7?x=1", "erp", "POST /orders/{id}", "https://erp.example.com/api/orders/7?x=1", "path prefix /erp"},
		{"GET", "http://127.0.0.1:8080/erp/orders/7", "erp", "", "https://erp.example.com/api/orders/7", "path prefix /erp"},
		{"POST", "http://localhost:9101/orders/7", "erp", "POST /orders/{id}", "https://erp.example.com/api/orders/7", "own address"},
		{"GET", "https://crm.example.com/contacts", "crm", "", "https://crm.example.com/contacts", "through the sidecar the call is /crm/contacts"},
		{"POST", "https://ERP.example.com/api/orders/7?x=1", "erp", "POST /orders/{id}", "https://erp.example.com/api/orders/7?x=1", "the call is /erp/orders/7?x=1"},
		{"GET", "https://erp.example.com:443/api", "erp", "", "https://erp.example.com/api/", "by its upstream"},
	} {
		f, err := Find(doc, c.method, c.url)
		if err != nil || f.Adapter.Name != c.adapter || f.Operation != c.operation || f.Upstream != c.upstream || !strings.Contains(f.Rule, c.rule) || f.Settings == nil {
			t.Errorf("%s %s: %+v, %v", c.method, c.url, f, err)
		}
	}
	for _, url := range []string{"/nobody/x", "https://other.example.com/", "https://erp.example.com/apis/orders", "https://erp.example.com/", "/erp/../x", "erp/orders", "mailto:a@b", "http://[::1"} {
		if f, err := Find(doc, "GET", url); err == nil {
			t.Errorf("%s leads to %s", url, f.Upstream)
		}
	}
}

func TestFindTakesTheLongestBasePath(t *testing.T) {
	doc := document(t, erp("https://one.example.com/api")+crm("https://one.example.com/api/crm"))
	for url, want := range map[string]string{"https://one.example.com/api/crm/x": "crm", "https://one.example.com/api/crmx": "erp", "https://one.example.com/api/x": "erp"} {
		if f, err := Find(doc, "GET", url); err != nil || f.Adapter.Name != want || f.Upstream != url {
			t.Errorf("%s: %+v, %v", url, f, err)
		}
	}
	_, err := Find(doc, "GET", "https://one.example.com/other")
	if err == nil || !strings.Contains(err.Error(), "is not under https://one.example.com/api/crm, the upstream of crm, nor under https://one.example.com/api, the upstream of erp") {
		t.Errorf("%v", err)
	}
}

func TestOperationsHavePoliciesOfTheirOwn(t *testing.T) {
	u := upstream.Script(t, upstream.OK("general"), upstream.OK("special"))
	r := serve(t, erp(u.URL(), "operations: [ { match: { path: /special }, validate: { methods: [GET] } } ]"))
	if a := r.call("POST", "/erp/general", ""); a.body != "general" {
		t.Errorf("%v %q", a.Response, a.body)
	}
	if a := r.call("POST", "/erp/special", ""); a.StatusCode != 405 {
		t.Errorf("%v %q", a.Response, a.body)
	}
	if a := r.call("GET", "/erp/special", ""); a.body != "special" {
		t.Errorf("%v %q", a.Response, a.body)
	}
	if d := r.server.Drain(); d.Seconds() != 25 {
		t.Errorf("drain %v, want the default of 25 s", d)
	}
}

func TestTrailersOfTheApplicationReachTheSystem(t *testing.T) {
	u := upstream.Always(t, upstream.OK(""))
	r := serve(t, erp(u.URL())+strings.Replace(erp(u.URL(), "idempotency: off", "dlq: off"), "erp", "streamed", 2))
	for i, name := range []string{"erp", "streamed"} {
		a := r.raw(r.addr(), http.MethodPost, "POST /"+name+"/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\ndata\r\n0\r\nX-Sum: 1\r\n\r\n")
		if q := u.Request(i + 1); a.StatusCode != 200 || string(q.Body) != "data" || q.Trailer.Get("X-Sum") != "1" || q.Fields.Has("X-Sum") {
			t.Errorf("%s: %v; arrived %q with trailer %v", name, a.Response, q.Body, q.Trailer)
		}
	}
}
