package proxy

import (
	"testing"
)

func TestPatternsMatchSegmentBySegment(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/", "/", true}, {"/", "/a", false},
		{"/orders", "/orders", true}, {"/orders", "/orders/", false}, {"/orders", "/orders/7", false}, {"/orders", "/Orders", false}, {"/orders", "/order", false},
		{"/orders/", "/orders/", true}, {"/orders/", "/orders", false},
		{"/orders/{id}", "/orders/7", true}, {"/orders/{id}", "/orders/", false}, {"/orders/{id}", "/orders", false}, {"/orders/{id}", "/orders/7/lines", false},
		{"/orders/{id}/lines", "/orders/7/lines", true}, {"/orders/{id}/lines", "/orders//lines", false},
		{"/{a}/{b}", "/x/y", true}, {"/{a}/{b}", "/x", false},
		{"/orders/**", "/orders/7/lines", true}, {"/orders/**", "/orders/", true}, {"/orders/**", "/orders", false}, {"/orders/**", "/other/7", false},
		{"/**", "/", true}, {"/**", "/a/b", true},
		{"/a%2Fb", "/a%2Fb", true}, {"/a/b", "/a%2Fb", false},
	} {
		if got := matches(splitPattern(c.pattern), c.path); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

func TestTheFirstOperationThatMatchesCounts(t *testing.T) {
	a := &adapter{operations: []operation{
		{name: "any", pattern: splitPattern("/orders/special")},
		{name: "post", method: "POST", pattern: splitPattern("/orders/{id}")},
		{name: "rest", pattern: splitPattern("/orders/**")},
	}}
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/orders/special", "any"}, {"POST", "/orders/7", "post"}, {"GET", "/orders/7", "rest"}, {"GET", "/other", ""},
	} {
		if _, _, got := a.route(c.method, c.path); got != c.want {
			t.Errorf("%s %s is %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestOriginForm(t *testing.T) {
	for target, want := range map[string]string{
		"/a?b": "/a?b", "//x": "//x", "/": "/", "http://erp.test/a?b": "/a?b", "http://erp.test": "/", "http://erp.test?q=1": "/?q=1",
		"https://erp.test:8443//a": "//a", "*": "", "erp.test:443": "", "": "",
	} {
		got, ok := originForm(target)
		if got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v; want %q", target, got, ok, want)
		}
	}
}

func TestCutAdapter(t *testing.T) {
	for target, want := range map[string][2]string{
		"/erp": {"erp", "/"}, "/erp/": {"erp", "/"}, "/erp/a/b?c=/d": {"erp", "/a/b?c=/d"}, "/erp?q": {"erp", "/?q"}, "/erp//x": {"erp", "//x"},
		"/": {"", "/"}, "//erp": {"", "/erp"}, "/?/erp": {"", "/?/erp"}, "/erp%2Fa": {"erp%2Fa", "/"},
	} {
		if name, rest := cutAdapter(target); name != want[0] || rest != want[1] {
			t.Errorf("%s is %q and %q, want %q", target, name, rest, want)
		}
	}
}

func TestACallByHostKeepsTheSystemsOwnPath(t *testing.T) {
	for _, c := range []struct{ target, base, want string }{
		{"/api/v1/orders?x=1", "/api", "/v1/orders?x=1"}, {"/api", "/api", "/"}, {"/api?x", "/api", "/?x"}, {"/apix", "/api", "/apix"},
		{"/orders", "/api", "/orders"}, {"/orders", "", "/orders"}, {"/", "", "/"},
	} {
		if got := belowBase(c.target, c.base); got != c.want {
			t.Errorf("%s below %q is %s, want %s", c.target, c.base, got, c.want)
		}
	}
}
