package e2e

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each shape hides a second request, for /sales/smuggled, where two readers of HTTP may disagree. want lists the
// statuses allowed for the first answer (RFC 9112 sections 2.2, 5.1, 6.1, 6.3 and 7.1); 200 where the first request
// may be served by its chunks alone, if the connection is closed after it.
var smuggling = []struct {
	name, head, body string
	want             []int
}{
	{"CL and TE", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + hidden, []int{400, 200}},
	{"TE and CL", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\n" + hidden, []int{400, 200}},
	{"two lengths", "Content-Length: 0\r\nContent-Length: 4\r\n", hidden, []int{400}},
	{"list of lengths", "Content-Length: 0, 4\r\n", hidden, []int{400}},
	{"TE identity", "Transfer-Encoding: identity\r\nContent-Length: 0\r\n", hidden, []int{400, 501}},
	{"TE unknown", "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n", hidden, []int{400, 501}},
	{"TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + hidden, []int{400, 501}},
	{"TE list", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + hidden, []int{400, 501}},
	{"TE not last", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n" + hidden, []int{400, 501}},
	{"TE with a tab", "Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n", hidden, []int{400, 501}},
	{"space before colon", "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n", hidden, []int{400}},
	{"length with space before colon", "Content-Length : 0\r\n", hidden, []int{400}},
	{"folded TE", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n", hidden, []int{400}},
	{"bad chunk size", "Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n" + hidden, []int{400}},
	{"negative chunk size", "Transfer-Encoding: chunked\r\n", "-1\r\n\r\n" + hidden, []int{400}},
	{"huge chunk size", "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nx\r\n" + hidden, []int{400, 413}},
	{"chunk without its end", "Transfer-Encoding: chunked\r\n", "1\r\nxx\r\n0\r\n\r\n" + hidden, []int{400}},
	{"chunk ends with a bare LF", "Transfer-Encoding: chunked\r\n", "1\nx\n0\n\n" + hidden, []int{400}},
	{"bare CR in a field", "X-A: b\rContent-Length: 4\r\nContent-Length: 0\r\n", hidden, []int{400}},
}

const hidden = "GET /sales/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	for _, c := range smuggling {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, OK("ok"))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
			got := Raw(t, s.Proxy, "POST /sales/front HTTP/1.1\r\nHost: a\r\n"+c.head+"\r\n"+c.body)
			hits := up.Hits()
			for _, h := range hits {
				if strings.Contains(h.Target, "smuggled") {
					t.Errorf("the hidden request reached the upstream: %s", targets(hits))
				}
			}
			if len(got.Responses) != 1 {
				t.Fatalf("%d responses, want one: %.500q", len(got.Responses), got.Bytes)
			}
			status, served := got.Responses[0].Status, 0
			if status == 200 {
				served = 1
			}
			if !slices.Contains(c.want, status) || !got.Closed || len(hits) != served {
				t.Errorf("status %d, closed %v, %d requests upstream; want one of %v, closed, and nothing refused upstream", status, got.Closed, len(hits), c.want)
			}
		})
	}
}

// An informational response before the answer must not make the sidecar forget that it closes after a dubious call.
func TestNothingIsSmuggledBehindAnInformationalResponse(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		OK("ok")(w, r, h)
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	got := Raw(t, s.Proxy, "POST /sales/front HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+hidden)
	for _, h := range up.Hits() {
		if strings.Contains(h.Target, "smuggled") {
			t.Errorf("the hidden request reached the upstream")
		}
	}
	if !got.Closed || len(got.Responses) != 1 {
		t.Errorf("closed %v after %d responses, want closed after one: %.500q", got.Closed, len(got.Responses), got.Bytes)
	}
}

// Two requests in one go are legal; they must stay two, in order.
func TestPipelinedRequestsStayTwo(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("first"), OK("second"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	got := Raw(t, s.Proxy, "POST /sales/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"+
		"GET /sales/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if len(got.Responses) != 2 || got.Responses[0].Body != "first" || got.Responses[1].Body != "second" {
		t.Errorf("answered %.500q, want first and second", got.Bytes)
	}
	hits := up.WantCount(t, 2)
	if hits[0].Body != "hello" || hits[1].Target != "/2" {
		t.Errorf("the upstream saw %q and then %s", hits[0].Body, hits[1].Target)
	}
}

// A body that breaks off must never reach the provider as if it were whole.
func TestTruncatedRequestIsNotSent(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for name, request := range map[string]string{
		"length":  "POST /sales/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"half\":",
		"chunked": "POST /sales/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"half\":\r\n",
	} {
		c := DialRaw(t, s.Proxy)
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		must(t, c.Close())
	}
	Eventually(t, "both broken calls to be counted as canceled or invalid", func() bool {
		m := s.Metrics(t)
		return m[`integration_errors_total{adapter_id="sales",error_type="canceled"}`]+m[`integration_errors_total{adapter_id="sales",error_type="validation"}`] == 2
	})
	up.WantCount(t, 0)
}

// A body that is streamed is under way before its end is known; when it breaks off, so must the call upstream.
func TestTruncatedRequestBreaksOffTheStreamedCall(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 2)
	up := RawUpstream(t, func(c net.Conn, _ int) {
		_, _, err := ReadRequest(c)
		ends <- err
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, streamed)})
	for name, request := range map[string]string{
		"length":  "PUT /sales/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000),
		"chunked": "PUT /sales/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + strings.Repeat("x", 50000) + "\r\n",
	} {
		c := DialRaw(t, s.Proxy)
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		must(t, c.Close())
	}
	for range 2 { // a call that never left says as much as one that broke off
		select {
		case err := <-ends:
			if err == nil {
				t.Errorf("a request that broke off reached the upstream as a whole one")
			}
		case <-time.After(2 * time.Second):
		}
	}
}
