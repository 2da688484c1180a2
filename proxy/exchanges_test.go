package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// ask makes one call at an address and under a Host of its own.
func (r *rig) ask(addr, method, host, target string) (answer, exchangeDocument) {
	r.t.Helper()
	body := ""
	if method == "POST" {
		body = "{}"
	}
	a := r.raw(addr, method, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, target, host, len(body), body))
	var d exchangeDocument
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal([]byte(a.body), &d); err != nil {
			r.t.Fatal(err)
		}
	}
	return a, d
}

// However the application reaches the adapter, the Location is one that it reaches too.
func TestTheLocationIsBelowTheAddressThatTheApplicationHas(t *testing.T) {
	up := upstream.Always(t, upstream.Status(http.StatusCreated, "made"))
	for name, c := range map[string]struct{ target, host, own string }{
		"prefix":      {target: "/erp/orders", host: "sidecar.test"},
		"host":        {target: "/base/orders", host: up.Addr()},
		"own address": {target: "/orders", host: "sidecar.test", own: "listen: " + anyPort},
	} {
		t.Run(name, func(t *testing.T) {
			lines := []string{"delivery: async"}
			if c.own != "" {
				lines = append(lines, c.own)
			}
			r := serve(t, erp(up.URL()+"/base", lines...))
			addr := r.addr()
			if c.own != "" {
				addr = r.server.Address("erp").String()
			}
			a, _ := r.ask(addr, "POST", c.host, c.target)
			location := a.Header.Get("Location")
			if a.StatusCode != 202 || location == "" {
				t.Fatalf("%d, Location %q, %s", a.StatusCode, location, a.body)
			}
			var d exchangeDocument
			eventually(t, "its delivery", func() bool {
				a, d = r.ask(addr, "GET", c.host, location)
				return d.State == accepted.Delivered
			})
			if a, _ = r.ask(addr, "GET", c.host, d.Response); a.StatusCode != 201 || a.body != "made" {
				t.Errorf("the response at %s is %d %q", d.Response, a.StatusCode, a.body)
			}
			if a, _ = r.ask(addr, "HEAD", c.host, d.Response); a.StatusCode != 201 || a.body != "" {
				t.Errorf("its head is %d %q", a.StatusCode, a.body)
			}
		})
	}
}

// An adapter that is taken out of the configuration and put back finds what it has accepted.
func TestARemovedAdapterKeepsWhatItHasAccepted(t *testing.T) {
	up := upstream.Always(t, upstream.Status(http.StatusCreated))
	crm := "  crm:\n    upstream: " + up.URL() + "\n"
	r := serve(t, erp(up.URL(), "delivery: async", "breaker: { reset_timeout: 1m }")+crm)
	r.server.find("erp").host.Breaker.Open()
	_, d := r.ask(r.addr(), "POST", "x", "/erp/orders")
	eventually(t, "it to be put back for the breaker", func() bool {
		kept, err := r.deps.Accepted.Get(d.ID)
		return err == nil && kept.Reason == "circuit-open"
	})
	use := func(adapters string) {
		t.Helper()
		if err := r.server.Use(document(t, adapters)); err != nil {
			t.Fatal(err)
		}
	}
	use(crm)
	eventually(t, "it to be put back for want of an adapter", func() bool {
		kept, err := r.deps.Accepted.Get(d.ID)
		return err == nil && kept.Reason == "no-adapter"
	})
	if up.Hits() != 0 {
		t.Errorf("%d requests", up.Hits())
	}
	use(erp(up.URL(), "delivery: async") + crm)
	eventually(t, "its delivery", func() bool {
		_, d = r.ask(r.addr(), "GET", "x", "/erp/.sidecar/exchanges/"+d.ID)
		return d.State == accepted.Delivered
	})
}

func TestWhatARemovedAdapterAcceptedBecomesALetterWhenItIsTooOld(t *testing.T) {
	r := newRig(t, nil)
	kept := &accepted.Exchange{ID: accepted.NewID(), Adapter: "gone", AdapterID: "gone-1", Method: "POST", Target: "/orders", Body: []byte("{}"), Key: "k", TTL: time.Hour,
		Accepted: time.Now().Add(-time.Hour), Until: time.Now()}
	if _, err := r.deps.Accepted.Accept(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Use(document(t, erp("http://127.0.0.1:1"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool {
		got, err := r.deps.Accepted.Get(kept.ID)
		return err == nil && got.State == accepted.Failed && got.Result.LetterID == kept.ID
	})
	if l := r.letters(); len(l) != 1 || l[0].Metadata.AdapterID != "gone-1" || string(l[0].OriginalMessage.Body) != "{}" || l[0].Error.Code != "no-adapter" {
		t.Errorf("letters %+v", l)
	}
}

// A response that is not kept has its status in the exchange, and no address of its own.
func TestAResponseBeyondItsBoundIsSaidToBeLeftOut(t *testing.T) {
	up := upstream.Always(t, upstream.Status(http.StatusCreated, strings.Repeat("x", 4000)))
	r := serve(t, erp(up.URL(), "delivery: async", "max_body: 1KiB"))
	_, d := r.ask(r.addr(), "POST", "x", "/erp/orders")
	location := "/erp/.sidecar/exchanges/" + d.ID
	eventually(t, "its delivery", func() bool {
		_, d = r.ask(r.addr(), "GET", "x", location)
		return d.State == accepted.Delivered
	})
	if a, _ := r.ask(r.addr(), "GET", "x", d.Response); a.StatusCode != 404 || d.Status != 201 || !strings.Contains(a.body, "too large") {
		t.Errorf("%d, status %d: %s", a.StatusCode, d.Status, a.body)
	}
}
