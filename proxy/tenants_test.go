package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// A long queue of one tenant was tried call by call, two fsyncs each, before another tenant's call was reached.
func TestATenantWithoutTokensIsNotTriedCallByCall(t *testing.T) {
	const backlog = 60
	up := upstream.Always(t, upstream.Status(http.StatusCreated))
	r := serve(t, erp(up.URL(), "delivery: async", "rate_limit: { capacity: 1, refill_rate: 0.05, per: tenant, max_wait: 1m }"))
	r.server.courier.halt() // until all are accepted
	for range backlog {
		r.call("POST", "/erp/orders", "{}", "X-Tenant-ID", "a")
	}
	other := r.call("POST", "/erp/orders", "{}", "X-Tenant-ID", "b")
	id := other.Header.Get("Location")[strings.LastIndexByte(other.Header.Get("Location"), '/')+1:]
	r.server.courier = newCourier(r.server, r.deps.Accepted)
	r.server.courier.begin()
	eventually(t, "the other tenant's delivery", func() bool { return r.state(id) == accepted.Delivered })
	if tries := strings.Count(r.log.String(), `"put_back":true`); up.Hits() != 2 || tries > perAdapter {
		t.Errorf("%d requests and %d tries that were put back, want the two first and hardly any", up.Hits(), tries)
	}
}
