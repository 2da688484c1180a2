package e2e

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
)

// Ten thousand strangers, each with a tenant, a path, a key and a correlation id of its own, leave as many series as one
// does: a Prometheus is not theirs to fill.
func TestHostileCallersAddNoSeries(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(404), Status(200), Status(409), Status(200))
	s := Start(t, Setup{LogLevel: "error", Adapters: Adapter("sales", up.URL, "rate_limit: { capacity: 100000, refill_rate: 100000, per: tenant }",
		"operations:\n  - match: { method: POST, path: \"/orders/{id}\" }\n    timeout: { attempt: 5s }")})
	strange := func(n int) {
		path := fmt.Sprintf("/sales/orders/%d-%s", n, url.PathEscape("\"}\n\\{x=\"é"))
		switch n % 10 {
		case 0:
			path = fmt.Sprintf("/nobody-%d/orders", n)
		case 1:
			path = fmt.Sprintf("/sales/%d?tenant=%d", n, n)
		}
		_, err := s.Try(t.Context(), []string{"POST", "GET", "PUT", "DELETE", fmt.Sprintf("X%d", n)}[n%5], path, "", fmt.Sprintf(`X-Tenant-ID: t%d"},{evil="`, n),
			fmt.Sprintf("X-Idempotency-Key: key-%d", n), fmt.Sprintf("X-User-ID: user-%d", n), fmt.Sprintf("X-Correlation-ID: c-%d", n))
		if err != nil {
			t.Errorf("call %d: %v", n, err)
		}
	}
	strange(2)
	before := s.Metrics(t)
	var callers sync.WaitGroup
	for first := range 64 {
		callers.Go(func() {
			for n := first; n < 10000 && !t.Failed(); n += 64 {
				strange(n)
			}
		})
	}
	callers.Wait()
	after := s.Metrics(t)
	for series := range after {
		if _, known := before[series]; !known {
			t.Errorf("a new series: %s", series)
		}
	}
	if len(after) > 200 {
		t.Errorf("%d series of one adapter", len(after))
	}
	if calls := after[`integration_requests_total{adapter_id="sales",status="success"}`] + after[`integration_requests_total{adapter_id="sales",status="failure"}`]; calls < 9000 {
		t.Errorf("only %v calls were counted", calls)
	}
}
