package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestAnAnswerIsPassedOnUnchanged(t *testing.T) {
	u := upstream.Script(t, upstream.WithHeader(upstream.Status(207, "body"), "Set-Cookie", "a=1", "Set-Cookie", "b=2", "X-Correlation-ID", "theirs", "X-Dead-Letter-ID", "theirs",
		"Connection", "X-Hop", "X-Hop", "1", "Via", "1.1 cdn", "Location", "/orders/7", "Content-Type", "text/plain"))
	r := serve(t, erp(u.URL()))
	a := r.call("POST", "/erp/orders?x=%20y", "data", "X-Correlation-ID", "ours", "X-Hop-2", "1")
	h := a.Header
	if a.StatusCode != 207 || a.body != "body" || a.ContentLength != 4 || !slices.Equal(h["Set-Cookie"], []string{"a=1", "b=2"}) || h.Get("Content-Type") != "text/plain" {
		t.Errorf("%v %q", a.Response, a.body)
	}
	if !slices.Equal(h["X-Correlation-Id"], []string{"ours"}) || h.Get("X-Dead-Letter-Id") != "" || h.Get("X-Hop") != "" || h.Get("Location") != "/erp/orders/7" || h.Get("Proxy-Status") != "" {
		t.Errorf("fields %v", h)
	}
	if via := h["Via"]; len(via) != 2 || via[0] != "1.1 cdn" || !strings.HasPrefix(via[1], "1.1 integration-sidecar") {
		t.Errorf("Via: %v", via)
	}
	q := u.Request(1)
	if q.Target != "/orders?x=%20y" || string(q.Body) != "data" || q.Host != u.Addr() || q.Fields.Get("X-Correlation-Id") != "ours" || !strings.HasPrefix(q.Fields.Get("Via"), "1.1 integration-sidecar") {
		t.Errorf("upstream saw %s", q.Raw)
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		step   upstream.Step
		status int
		length string
	}{
		"HEAD":                {"HEAD", upstream.OK("12345"), 200, "5"},
		"HEAD of a large one": {"HEAD", upstream.WithHeader(upstream.Status(200), "Content-Length", "1000000"), 200, "1000000"},
		"204":                 {"GET", upstream.Status(204), 204, ""},
		"304":                 {"GET", upstream.WithHeader(upstream.Status(304), "ETag", `"1"`), 304, ""},
		"200 of nothing":      {"GET", upstream.OK(""), 200, "0"},
		"500 to HEAD":         {"HEAD", upstream.Status(500, "sorry"), 500, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, erp(upstream.Script(t, c.step).URL()))
			a := r.call(c.method, "/erp/", "")
			if a.StatusCode != c.status || a.body != "" || a.err != nil || a.Header.Get("Content-Length") != c.length {
				t.Errorf("%v %q %v", a.Response, a.body, a.err)
			}
		})
	}
	r := serve(t, erp(upstream.Refused(t)))
	if a := r.call("HEAD", "/erp/", ""); a.StatusCode != 502 || a.body != "" || a.err != nil || a.Header.Get("Proxy-Status") == "" {
		t.Errorf("a problem to HEAD: %v %q", a.Response, a.body)
	}
}

func TestTrailersArePassedOn(t *testing.T) {
	for name, step := range map[string]upstream.Step{
		"streamed":   upstream.ChunkedWithTrailer("data", "X-Sum", "1", "X-End", "2"),
		"read whole": upstream.WithHeader(upstream.ChunkedWithTrailer(strings.Repeat("x", 70<<10), "X-Sum", "1", "X-End", "2"), "X-Big", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, erp(upstream.Always(t, step).URL()))
			for _, key := range []string{"", "k"} { // with a key the answer is read whole
				fields := []string{}
				if key != "" {
					fields = append(fields, "Idempotency-Key", key)
				}
				a := r.call("POST", "/erp/", "{}", fields...)
				if a.err != nil || len(a.body) < 4 || a.Trailer.Get("X-Sum") != "1" || a.Trailer.Get("X-End") != "2" || a.Header.Get("Content-Length") != "" {
					t.Errorf("key %q: %v, trailer %v, %v", key, a.Response, a.Trailer, a.err)
				}
			}
		})
	}
}

func TestABrokenStreamBreaksTheAnswerOff(t *testing.T) {
	for name, step := range map[string]upstream.Step{"short": upstream.Truncate(100<<10, 80<<10), "chunks": upstream.TruncateChunked()} {
		t.Run(name, func(t *testing.T) {
			a := serve(t, erp(upstream.Script(t, step).URL())).call("GET", "/erp/", "")
			if a.StatusCode != 200 || !errors.Is(a.err, io.ErrUnexpectedEOF) {
				t.Errorf("%v, %v: the application takes it for whole", a.Response, a.err)
			}
		})
	}
}

func TestAStreamIsPassedOnAsItComes(t *testing.T) {
	chunks := make(chan []byte)
	r := serve(t, erp(upstream.Script(t, upstream.Stream(chunks)).URL()))
	resp, err := http.Get("http://" + r.addr() + "/erp/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for n := range 3 {
		want := fmt.Sprintf("event %d", n)
		chunks <- []byte(want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	close(chunks)
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestInterimResponsesArePassedOnBeforeTheAnswer(t *testing.T) {
	u := upstream.Always(t, upstream.Informational(upstream.WithHeader(upstream.OK("done"), "X-Final", "1"), 103, "Link", "</a>"))
	r := serve(t, erp(u.URL()))
	text := r.transcript("GET /erp/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	interim, final, _ := strings.Cut(text, "\r\n\r\n")
	if !strings.HasPrefix(interim, "HTTP/1.1 103 ") || !strings.Contains(interim, "Link: </a>") || !strings.HasPrefix(final, "HTTP/1.1 200 ") ||
		strings.Contains(final, "Link:") || !strings.HasSuffix(final, "done") {
		t.Errorf("got %q", text)
	}
	// Whatever follows a chunked request on its connection is not read, also when an interim response came between.
	text = r.transcript("POST /erp/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /erp/second HTTP/1.1\r\nHost: h\r\n\r\n")
	if strings.Count(text, "HTTP/1.1 200") != 1 || !strings.Contains(text, "Connection: close") {
		t.Errorf("got %q", text)
	}
}

// transcript sends bytes on a connection and reads until the sidecar closes it.
func (r *rig) transcript(request string) string {
	r.t.Helper()
	conn := dial(r.t, r.addr())
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	b, _ := io.ReadAll(conn)
	return string(b)
}
