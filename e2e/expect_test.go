package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestContinueIsAnsweredAfterAdmission(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "max_body: 1KiB", "validate: { content_types: [application/json] }") +
		Adapter("streamed", up.URL, streamed)})
	for _, name := range []string{"sales", "streamed"} {
		c := DialRaw(t, s.Proxy)
		r := expect(t, c, "/"+name+"/a", "application/json", 5)
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("%s: answered %q to Expect, want 100 (%v)", name, line, err)
		}
		_, _ = r.ReadString('\n')
		_, err = io.WriteString(c, "hello")
		must(t, err)
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%s: after the body: %v %v", name, response, err)
		}
		if got := up.Last(t).Body; got != "hello" {
			t.Errorf("%s: body %q at the upstream", name, got)
		}
	}
}

func TestRefusedCallGetsNo100(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "max_body: 1KiB", "validate: { methods: [GET, POST], content_types: [application/json] }") +
		Adapter("keyed", up.URL, "idempotency: { required: true }")})
	for _, c := range []struct {
		target, contentType string
		length, status      int
	}{
		{"/sales/a", "application/json", 2000, 413}, {"/sales/a", "text/plain", 5, 415}, {"/unknown/a", "application/json", 5, 404},
		{"/sales/../x", "application/json", 5, 400}, {"/keyed/a", "application/json", 5, 400},
	} {
		r := expect(t, DialRaw(t, s.Proxy), c.target, c.contentType, c.length)
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, " "+strconv.Itoa(c.status)+" ") {
			t.Errorf("%s %s of %d bytes: answered %q (%v), want %d without a 100 before", c.target, c.contentType, c.length, line, err, c.status)
		}
	}
	up.WantCount(t, 0)
}

// An application that never sends the body it announced holds nothing beyond its deadline.
func TestBodyThatNeverComesEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("never"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 200ms, total: 400ms }") +
		Adapter("streamed", up.URL, streamed, "timeout: { attempt: 200ms, total: 400ms }")})
	for _, name := range []string{"sales", "streamed"} {
		c := DialRaw(t, s.Proxy)
		_, err := io.WriteString(c, "POST /"+name+"/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || response.StatusCode < 400 {
			t.Errorf("%s: %v, %v; want a problem", name, response, err)
		}
	}
	Eventually(t, "both calls to end", func() bool {
		m := s.Metrics(t)
		return m[`integration_in_flight_requests{adapter_id="sales"}`] == 0 && m[`integration_in_flight_requests{adapter_id="streamed"}`] == 0
	})
}

// expect sends a header that announces a body of n bytes and waits for leave to send it.
func expect(t *testing.T, c net.Conn, target, contentType string, n int) *bufio.Reader {
	t.Helper()
	_, err := io.WriteString(c, "POST "+target+" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: "+contentType+
		"\r\nContent-Length: "+strconv.Itoa(n)+"\r\n\r\n")
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	return bufio.NewReader(c)
}
