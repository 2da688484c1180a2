package proxy

import (
	"testing"

	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

func TestALocationAtTheSystemLeadsBackThroughTheSidecar(t *testing.T) {
	const origin = "https://erp.test:8443"
	for _, c := range []struct{ base, prefix, location, want string }{
		{"", "/erp", origin + "/orders/7", "http://app:8080/erp/orders/7"},
		{"", "/erp", origin, "http://app:8080/erp"},
		{"", "/erp", origin + "?q=1", "http://app:8080/erp?q=1"},
		{"", "/erp", "HTTPS://ERP.test:8443/Orders", "http://app:8080/erp/Orders"},
		{"", "/erp", "/orders/7?x=/y#z", "/erp/orders/7?x=/y#z"},
		{"", "", "/orders/7", "/orders/7"},
		{"", "", "/", "/"},
		{"", "", origin + "/a", "http://app:8080/a"},
		{"/api/v2", "/erp", "/api/v2/orders", "/erp/orders"},
		{"/api/v2", "/erp", "/api/v2", "/erp"},
		{"/api/v2", "", "/api/v2", "/"},
		{"/api/v2", "/erp", origin + "/api/v2/orders", "http://app:8080/erp/orders"},
		{"/api/v2", "/erp", "/api/v2?x", "/erp?x"},
		{"/api/v2", "/erp", "/api/v20/orders", origin + "/api/v20/orders"},
		{"/api/v2", "/erp", "/other", origin + "/other"},
		{"/api/v2", "/erp", "/api/v2/../../sms/x", origin + "/api/v2/../../sms/x"},
		{"", "/erp", "/%2e%2e/sms/x", origin + "/%2e%2e/sms/x"},
		{"/api/v2", "/erp", origin + "/other", origin + "/other"},
		{"", "/erp", "https://erp.test:84430/x", "https://erp.test:84430/x"},
		{"", "/erp", "https://erp.test:8443.evil.test/x", "https://erp.test:8443.evil.test/x"},
		{"", "/erp", "https://erp.test:8443@evil.test/x", "https://erp.test:8443@evil.test/x"},
		{"", "/erp", "http://erp.test:8443/x", "http://erp.test:8443/x"},
		{"", "/erp", "//erp.test:8443/x", "//erp.test:8443/x"},
		{"", "/erp", "orders/7", "orders/7"},
		{"", "/erp", "?page=2", "?page=2"},
		{"", "/erp", "", ""},
	} {
		l := location{adapter: &adapter{identity: &policy.Identity{Origin: origin, Base: c.base}}, prefix: c.prefix, host: "app:8080"}
		fields := wire.Fields{{Name: "X-Other", Value: c.location}, {Name: "location", Value: c.location}}
		l.rewrite(fields)
		if got := fields[1].Value; got != c.want || fields[0].Value != c.location {
			t.Errorf("base %q, prefix %q: %q became %q, want %q", c.base, c.prefix, c.location, got, c.want)
		}
	}
}
