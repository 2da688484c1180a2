package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// leak matches what no answer may hold: stack traces, source files, paths of the host.
var leak = regexp.MustCompile(`goroutine \d|\.go:\d|panic|runtime error|/tmp/|/root/|/home/|/var/lib|sidecar\.yaml`)

func wantNoLeak(t *testing.T, name, answer string) {
	t.Helper()
	if found := leak.FindString(answer); found != "" {
		t.Errorf("%s: the answer holds %q: %.500q", name, found, answer)
	}
}

var malformed = map[string]string{
	"no HTTP":                 "BLAH\r\n\r\n",
	"binary":                  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	"no version":              "GET /sales/x\r\nHost: a\r\n\r\n",
	"two spaces":              "GET  /sales/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"space in the target":     "GET /sales/x y HTTP/1.1\r\nHost: a\r\n\r\n",
	"relative target":         "GET sales/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"bad method":              "G@T /sales/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"bad escape":              "GET /sales/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"no Host":                 "GET /sales/x HTTP/1.1\r\n\r\n",
	"two Hosts":               "GET /sales/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"bad Host":                "GET /sales/x HTTP/1.1\r\nHost: a b\r\n\r\n",
	"bad field name":          "GET /sales/x HTTP/1.1\r\nHost: a\r\nBa d: x\r\n\r\n",
	"space before colon":      "GET /sales/x HTTP/1.1\r\nHost: a\r\nX-A : x\r\n\r\n",
	"no colon":                "GET /sales/x HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
	"NUL in a value":          "GET /sales/x HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n",
	"folded first line":       "GET /sales/x HTTP/1.1\r\n Host: a\r\n\r\n",
	"content length no digit": "POST /sales/x HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\nhello",
	"content length negative": "POST /sales/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
	"content length plus":     "POST /sales/x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
}

func TestMalformedHTTPIs400AndClosed(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for name, request := range malformed {
		got := Raw(t, s.Proxy, request)
		if len(got.Responses) != 1 || got.Responses[0].Status != 400 {
			t.Errorf("%s: answered %.300q, want one 400", name, got.Bytes)
			continue
		}
		if !got.Closed {
			t.Errorf("%s: the connection stays open after a 400", name)
		}
		wantNoLeak(t, name, got.Bytes)
	}
	up.WantCount(t, 0)
	s.Get(t, "/sales/a").WantStatus(t, 200)
}

// Contract 5: every response that is not from the upstream is a problem, so that an application can tell who spoke.
func TestMalformedHTTPIsAnsweredAsAProblem(t *testing.T) {
	t.Parallel()
	s := Start(t, Setup{Adapters: Adapter("sales", "http://"+FreeAddr(t))})
	for name, request := range malformed {
		got := Raw(t, s.Proxy, request)
		if len(got.Responses) != 1 || got.Responses[0].Kind() != "invalid-request" || got.Responses[0].Header.Get("Proxy-Status") == "" {
			t.Errorf("%s: answered %.300q, want the problem invalid-request with Proxy-Status", name, got.Bytes)
		}
	}
}

func TestOversizedHeaderIs431(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for name, request := range map[string]string{
		"one field":   "GET /sales/x HTTP/1.1\r\nHost: a\r\nX-Big: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
		"many fields": "GET /sales/x HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-Many: "+strings.Repeat("y", 90)+"\r\n", 20000) + "\r\n",
	} {
		got := Raw(t, s.Proxy, request)
		if len(got.Responses) != 1 || got.Responses[0].Status != 431 || !got.Closed {
			t.Errorf("%s: closed %v, answered %.300q, want 431 and closed", name, got.Closed, got.Bytes)
		}
	}
	up.WantCount(t, 0)
	s.Get(t, "/sales/a").WantStatus(t, 200)
}

func TestOversizedBodyIs413(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "max_body: 1KiB")})
	big, exact := strings.Repeat("x", 1025), strings.Repeat("x", 1024)
	s.Post(t, "/sales/a", big).WantProblem(t, 413, "body-too-large")
	chunked := func(body string) string {
		return fmt.Sprintf("POST /sales/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	got := Raw(t, s.Proxy, chunked(big))
	if len(got.Responses) != 1 {
		t.Fatalf("chunked: answered %.300q, want one response", got.Bytes)
	}
	got.Responses[0].WantProblem(t, 413, "body-too-large")
	up.WantCount(t, 0)
	s.Post(t, "/sales/a", exact).WantStatus(t, 200)
	if got := Raw(t, s.Proxy, chunked(exact)); len(got.Responses) != 1 || got.Responses[0].Status != 200 {
		t.Errorf("chunked body of exactly max_body: answered %.300q, want 200", got.Bytes)
	}
	for _, h := range up.WantCount(t, 2) {
		if h.Body != exact {
			t.Errorf("%d bytes reached the upstream, want 1024", len(h.Body))
		}
	}
	// A lie about the length must not make the sidecar wait for, or keep, gigabytes.
	got = Raw(t, s.Proxy, "POST /sales/a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nx")
	if len(got.Responses) != 1 || got.Responses[0].Status != 413 || !got.Closed {
		t.Errorf("announced 99 GB: closed %v, answered %.300q, want 413 and closed", got.Closed, got.Bytes)
	}
}

func TestMethodsAndContentTypes(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "validate: { methods: [GET, POST], content_types: [application/json] }")})
	for _, method := range []string{"DELETE", "PUT", "PROPFIND"} {
		a := s.Do(t, method, "/sales/a", "")
		a.WantProblem(t, 405, "method-not-allowed")
		if !containsAll(a.Header.Get("Allow"), "GET", "POST") {
			t.Errorf("%s: Allow %q, want GET and POST", method, a.Header.Get("Allow"))
		}
	}
	for _, contentType := range []string{"text/plain", "application/xml", "application/jsonx", ""} {
		a := s.Do(t, "POST", "/sales/a", "{}", "Content-Type: "+contentType)
		a.WantProblem(t, 415, "content-type-not-allowed")
	}
	up.WantCount(t, 0)
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		s.Do(t, "POST", "/sales/a", "{}", "Content-Type: "+contentType).WantStatus(t, 200)
	}
	s.Get(t, "/sales/a").WantStatus(t, 200) // without a body there is no type to judge
	up.WantCount(t, 4)
	s.Metrics(t).Want(t, `integration_errors_total{adapter_id="sales",error_type="validation"}`, 7)
}
