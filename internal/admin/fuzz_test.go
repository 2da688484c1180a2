package admin

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// Whatever is taken for our own name is loopback, localhost or the configured one, also for a browser, which reads it as
// part of a URL.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:9901", "[::1]:9901", "localhost", "localhost.", "ops.example.com", "evil.example", "", "::1", "127.1", "[::ffff:127.0.0.1]:1",
		"localhost:9901@evil.example", "[localhost]", "127.0.0.1.evil.example", "[::1%25lo]:9901", "localhost:x", "LOCALHOST..", "0x7f000001"} {
		f.Add(seed)
	}
	s := &server{Config: Config{Hosts: []string{"ops.example.com", ""}}}
	f.Fuzz(func(t *testing.T, hostport string) {
		if !s.knownHost(hostport) {
			return
		}
		u, err := url.Parse("http://" + hostport + "/")
		if err != nil || u.User != nil || u.Path != "/" {
			return // no browser and no client sends it
		}
		host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		if addr, err := netip.ParseAddr(host); err == nil {
			if !addr.Unmap().IsLoopback() {
				t.Errorf("%q is taken for ours", hostport)
			}
			return
		}
		if host != "localhost" && host != "ops.example.com" {
			t.Errorf("%q is taken for ours", hostport)
		}
	})
}

// An Origin that passes is of the very host and port the request came to.
func FuzzOrigin(f *testing.F) {
	for _, seed := range [][2]string{{"http://127.0.0.1:9901", "127.0.0.1:9901"}, {"null", "null"}, {"http://evil.example", "127.0.0.1:9901"}, {"http://127.0.0.1:9901@evil.example", "127.0.0.1:9901"},
		{"http://127.0.0.1:9901/evil", "127.0.0.1:9901"}, {"https://x", "X"}, {"", ""}, {"http://", ""}, {"http:/x", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, origin, host string) {
		r := &http.Request{Host: host, Header: http.Header{"Origin": {origin}}}
		if !sameOrigin(r) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, host) || u.Scheme != "http" && u.Scheme != "https" {
			t.Errorf("%q passes for %q", origin, host)
		}
		for _, evil := range []string{"http://evil.example", "null", "http://evil.example:9901", "http://" + host + ".evil.example", "http://" + host + "@evil.example"} {
			if sameOrigin(&http.Request{Host: host, Header: http.Header{"Origin": {evil}}}) && !strings.EqualFold(host, "evil.example") && !strings.EqualFold(host, "evil.example:9901") {
				t.Errorf("%q passes for %q", evil, host)
			}
		}
	})
}

// No text of a header field makes the token check panic or opens the door.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"Bearer x", "bearer", "", " ", "Basic eDp5", "Bearer  canary-admin-token-31337 ", "Bearer canary-admin-token-31337,x"} {
		f.Add(seed)
	}
	h := newWorld().locked(always(right))
	f.Fuzz(func(t *testing.T, field string) {
		w := ask(h, "GET", "/api/v1/status", "", func(r *http.Request) { r.Header["Authorization"] = []string{field} })
		scheme, token, _ := strings.Cut(field, " ")
		if open := strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) == right; (w.Code == 200) != open {
			t.Errorf("%q: %d", field, w.Code)
		}
	})
}
