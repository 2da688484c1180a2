package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// getRaw sends the target byte for byte, past any client that might clean it up.
func getRaw(t *testing.T, address, target string) Answer {
	t.Helper()
	got := Raw(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: sidecar\r\nConnection: close\r\n\r\n", target))
	if len(got.Responses) != 1 {
		t.Fatalf("GET %s: %d responses, want 1: %q", target, len(got.Responses), got.Bytes)
	}
	return got.Responses[0]
}

func TestTargetReachesUpstreamByteForByte(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	ownAddr := FreeAddr(t)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL+"/base") + Adapter("crm", up.URL, "listen: "+ownAddr)})
	for _, target := range []string{
		"/a%2Fb", "/a%2fb", "/%2Fa", "/a%20b+c", "/a+b%20c", "/a//b", "//a", "/a/", "/a//", "/a;v=1/b", "/a:b@c!$&'()*,=~",
		"/%7Euser/~user", "/caf%C3%A9", "/caf%c3%a9", "/%252e%252e/x", "/a/./b", "/a/b/../c", "/a/..b/...c", "/a%5Cb",
		"/?a=1&a=2;b", "/x?", "/x?a", "/x?a=&=b&", "/x?a=b?c=d", "/x?q=a%20b+c&r=//&s=/../..", "/x?p=..%2f..%2fetc",
		"/x?u=https://e.example/a%2Fb", "/x?z=%C3%A9&y=%zz", "/x?b=1&a=2&b=0", "/x?[1]=2",
	} {
		for address, want := range map[string]string{s.Proxy: "/base" + target, ownAddr: target} {
			sent := target
			if address == s.Proxy {
				sent = "/sales" + target
			}
			before := up.Count()
			getRaw(t, address, sent).WantStatus(t, 200)
			if hits := up.WantCount(t, before+1); hits[before].Target != want {
				t.Errorf("%s reached the upstream as %q, want %q", sent, hits[before].Target, want)
			}
		}
	}
}

func TestDotsCannotClimbOutOfTheBasePath(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	ownAddr := FreeAddr(t)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL+"/base/v1") + Adapter("crm", up.URL+"/crm", "listen: "+ownAddr)})
	for _, target := range []string{
		"/../x", "/..", "/a/../../x", "/a/b/../../../x", "/%2e%2e/x", "/.%2E/x", "/%2E./x", "/..%2fx", "/..%2Fx", "/%2e%2e%2fx",
		"/a/..%2f..%2fx", "/a%2f..%2f..%2fx", "/./../x", "//../../x", "/a/../../crm/x", "/../sales/x", "/..?x=1",
	} {
		for address, sent := range map[string]string{s.Proxy: "/sales" + target, ownAddr: target} {
			a := getRaw(t, address, sent)
			if a.Status != 400 {
				t.Errorf("%s was answered %d, want 400", sent, a.Status)
				continue
			}
			a.WantProblem(t, 400, "invalid-request")
		}
	}
	if hits := up.Hits(); len(hits) != 0 {
		t.Errorf("%d climbing calls reached the upstream: %s", len(hits), targets(hits))
	}
}

func TestAbsoluteTargetIsNotAnOpenProxy(t *testing.T) {
	t.Parallel()
	up, stranger := NewUpstream(t, OK("ok")), NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	a := getRaw(t, s.Proxy, stranger.URL+"/steal")
	if a.Status < 400 {
		t.Errorf("an absolute target of another host was answered %d, want a refusal", a.Status)
	}
	stranger.WantCount(t, 0)
	getRaw(t, s.Proxy, "http://sidecar/sales/a?b=%20").WantStatus(t, 200)
	if got := up.Last(t).Target; got != "/a?b=%20" {
		t.Errorf("absolute form reached the upstream as %q, want /a?b=%%20", got)
	}
}

func TestSameOriginLocationIsMappedBack(t *testing.T) {
	t.Parallel()
	var base string
	cases := map[string]struct{ location, want string }{
		"/absolute": {"UPSTREAM/base/next?a=%2F", "/sales/next?a=%2F"},
		"/path":     {"/base/next", "/sales/next"},
		"/foreign":  {"https://elsewhere.example/next", "https://elsewhere.example/next"},
	}
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		location := cases[strings.TrimPrefix(h.Target, "/base")].location
		Status(302, "Location: "+strings.Replace(location, "UPSTREAM", base, 1))(w, r, h)
	})
	base = up.URL
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL+"/base")})
	for target, c := range cases {
		a := s.Get(t, "/sales"+target)
		a.WantStatus(t, 302)
		got := strings.TrimPrefix(a.Header.Get("Location"), "http://"+s.Proxy)
		if got != c.want {
			t.Errorf("Location %q reached the application as %q, want %q", c.location, a.Header.Get("Location"), c.want)
		}
	}
	up.WantCount(t, len(cases)) // a redirect is the application's to follow
}
