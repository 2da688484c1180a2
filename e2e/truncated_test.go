package e2e

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// wantIncomplete fails the test when an application could take the answer for a whole success: it must be a 502, or
// break off so that the client notices.
func wantIncomplete(t *testing.T, a Answer, err error) {
	t.Helper()
	switch {
	case err != nil && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
	case err != nil:
		t.Logf("the client noticed: %v", err)
	case a.Status == 502:
		a.WantProblem(t, 502, "bad-upstream-response")
	default:
		t.Errorf("a broken response reached the application as a whole %d of %d bytes: %.100q", a.Status, len(a.Body), a.Body)
	}
}

func TestTruncatedResponseIsNeverPassedOffAsComplete(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 3<<20)
	for name, response := range map[string]string{
		"length":            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
		"length, no byte":   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
		"length, large":     "HTTP/1.1 200 OK\r\nContent-Length: 6000000\r\n\r\n" + big,
		"chunked":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"chunked, in chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
		"chunked, no last":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n" + big + "\r\n",
		"chunked, bad size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
		"chunked, no end":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := Canned(t, response)
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off") + Adapter("streamed", up.URL, streamed)})
			for _, target := range []string{"/sales/a", "/streamed/a"} {
				a, err := s.Try(t.Context(), http.MethodGet, target, "")
				wantIncomplete(t, a, err)
				a, err = s.Try(t.Context(), http.MethodPost, target, "{}")
				wantIncomplete(t, a, err)
			}
			m := s.Metrics(t)
			m.Want(t, `integration_requests_total{adapter_id="sales",status="failure"}`, 2)
			m.Want(t, `integration_requests_total{adapter_id="sales",status="success"}`, 0)
		})
	}
}

func TestTruncatedOutcomeIsNotReplayed(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, halfAnswer, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	a, err := s.Try(t.Context(), http.MethodPost, "/sales/a", "{}", keyOne)
	wantIncomplete(t, a, err)
	if again := s.Post(t, "/sales/a", "{}", keyOne); again.Header.Get("Idempotency-Replayed") != "" || again.Kind() != "outcome-unknown" {
		t.Errorf("the repeat was answered %d %q, want outcome-unknown", again.Status, again.Body)
	}
}

func TestTruncatedReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, halfAnswer, OK("whole"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	// A streamed answer whose head has gone out cannot be taken back; then it must break off.
	if a, err := s.Try(t.Context(), http.MethodGet, "/sales/a", ""); err == nil && (a.Status != 200 || a.Body != "whole") {
		t.Errorf("answered %d %q, want the whole second answer or a broken connection", a.Status, a.Body)
	}
}

func TestMalformedResponseIs502(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]string{
		"no HTTP":            "SSH-2.0-OpenSSH_9.2\r\n",
		"bad status":         "HTTP/1.1 abc OK\r\n\r\n",
		"bad field":          "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello",
		"bad length":         "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
		"unknown coding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: xz\r\n\r\nhello",
		"header broken off":  "HTTP/1.1 200 OK\r\nContent-Le",
		"endless header":     "HTTP/1.1 200 OK\r\nX-Big: " + strings.Repeat("x", 12<<20) + "\r\n\r\n",
		"switches unasked":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
		"answer for another": "HTTP/1.1 99 Odd\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := Canned(t, response)
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off")})
			a := s.Get(t, "/sales/a")
			if a.Status != 502 || a.Kind() != "bad-upstream-response" && a.Kind() != "upstream-unreachable" {
				t.Errorf("answered %d %.200q, want 502 bad-upstream-response", a.Status, a.Body)
			}
			wantNoLeak(t, name, a.Body)
		})
	}
}

// What looks short but is whole.
func TestCompleteResponsesWithoutABody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, response string
		status           int
		body, length     string
	}{
		"HEAD":            {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 200, "", "100"},
		"304":             {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: \"x\"\r\n\r\n", 304, "", ""},
		"204":             {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""},
		"ends with close": {"GET", "HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end", ""},
		"empty":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, Setup{Adapters: Adapter("sales", Canned(t, c.response).URL, "retry: off")})
			a := s.Do(t, c.method, "/sales/a", "")
			if a.Status != c.status || a.Body != c.body || c.length != "" && a.Header.Get("Content-Length") != c.length {
				t.Errorf("answered %d %q with Content-Length %q", a.Status, a.Body, a.Header.Get("Content-Length"))
			}
		})
	}
}
