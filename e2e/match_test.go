package e2e

import (
	"net/http"
	"strings"
	"testing"
)

func TestMatchByPrefixPortAndHost(t *testing.T) {
	t.Parallel()
	prefixed, own, hosted := NewUpstream(t, OK("prefixed")), NewUpstream(t, OK("own")), NewUpstream(t, OK("hosted"))
	hostedURL := strings.Replace(hosted.URL, "127.0.0.1", "localhost", 1)
	ownAddr := FreeAddr(t)
	s := Start(t, Setup{Adapters: Adapter("sales", prefixed.URL+"/base/v1") +
		Adapter("crm", own.URL, "listen: "+ownAddr) + Adapter("erp", hostedURL)})
	cases := []struct {
		name, url, host string
		upstream        *Upstream
		target          string
	}{
		{"prefix", s.URL("/sales/a/b?x=1"), "", prefixed, "/base/v1/a/b?x=1"},
		{"prefix of an adapter that has a port too", s.URL("/crm/a"), "", own, "/a"},
		{"own port", "http://" + ownAddr + "/a/b?x=1", "", own, "/a/b?x=1"},
		{"own port does not look at the first segment", "http://" + ownAddr + "/sales/a", "", own, "/sales/a"},
		{"host of an upstream", s.URL("/unknown/a?x=1"), strings.TrimPrefix(hostedURL, "http://"), hosted, "/unknown/a?x=1"},
		{"prefix wins over host", s.URL("/sales/h"), strings.TrimPrefix(hostedURL, "http://"), prefixed, "/base/v1/h"},
		{"prefix alone with a slash", s.URL("/erp/"), "", hosted, "/"},
		{"prefix alone", s.URL("/erp"), "", hosted, "/"},
		{"prefix alone with a query", s.URL("/erp?x=1"), "", hosted, "/?x=1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := c.upstream.Count()
			var fields []string
			if c.host != "" {
				fields = append(fields, "Host: "+c.host)
			}
			s.Get(t, c.url, fields...).WantStatus(t, 200)
			if hits := c.upstream.WantCount(t, before+1); hits[before].Target != c.target {
				t.Errorf("the upstream was asked for %q, want %q", hits[before].Target, c.target)
			}
		})
	}
	if got := prefixed.Last(t).Host; got != prefixed.Address() {
		t.Errorf("the upstream saw Host %q, want its own name %q", got, prefixed.Address())
	}
}

func TestNoAdapterIs404(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for _, target := range []string{"/", "/unknown", "/unknown/a?x=1", "/salesman/a", "/Sales/a", "//sales/a"} {
		a := s.Get(t, target, "X-Correlation-ID: lost-1")
		p := a.WantProblem(t, 404, "no-adapter")
		if p.CorrelationID != "lost-1" || a.Header.Get("X-Correlation-ID") != "lost-1" {
			t.Errorf("%s: correlation id %q in the problem, %q in the field, want lost-1", target, p.CorrelationID, a.Header.Get("X-Correlation-ID"))
		}
		if p.Attempts != 0 || p.Retryable {
			t.Errorf("%s: attempts %d retryable %v, want 0 and false", target, p.Attempts, p.Retryable)
		}
	}
	up.WantCount(t, 0)
}

func TestConnectAndTraceAre405(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	ownAddr := FreeAddr(t)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "listen: "+ownAddr)})
	for name, request := range map[string]string{
		"CONNECT":           "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
		"CONNECT of a path": "CONNECT /sales/a HTTP/1.1\r\nHost: sidecar\r\n\r\n",
		"TRACE":             "TRACE /sales/a HTTP/1.1\r\nHost: sidecar\r\n\r\n",
		"TRACE of nothing":  "TRACE /unknown/a HTTP/1.1\r\nHost: sidecar\r\n\r\n",
	} {
		for _, address := range []string{s.Proxy, ownAddr} {
			got := Raw(t, address, request)
			if len(got.Responses) != 1 {
				t.Fatalf("%s: %d responses, want 1: %q", name, len(got.Responses), got.Bytes)
			}
			got.Responses[0].WantProblem(t, 405, "method-not-allowed")
			if allow := got.Responses[0].Header.Get("Allow"); !strings.Contains(allow, http.MethodGet) || strings.Contains(allow, "TRACE") || strings.Contains(allow, "CONNECT") {
				t.Errorf("%s: Allow %q, want the methods that are allowed (RFC 9110 section 15.5.6)", name, allow)
			}
		}
	}
	up.WantCount(t, 0)
}
