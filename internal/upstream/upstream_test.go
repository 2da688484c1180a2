package upstream_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (int, string, error) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func TestScriptPlaysStepsInOrder(t *testing.T) {
	u := upstream.Script(t, upstream.RetryAfter(upstream.Status(503, "later"), "7"), upstream.OK("x"))
	c := newClient(t, nil)
	for _, want := range []string{"503 later", "200 x"} {
		status, body, err := get(t, c, u.URL())
		if got := fmt.Sprintf("%d %s", status, body); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if u.Hits() != 2 || u.Conns() != 1 {
		t.Errorf("%d requests on %d connections, want 2 on 1", u.Hits(), u.Conns())
	}
}

func TestWhatArrivedIsSeenByteForByte(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""))
	conn, err := net.Dial("tcp", u.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "POST /a%2fb//c?x=%7e&y HTTP/1.1\r\nhost: h\r\nX-b: 1\r\nx-A:2\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
	fmt.Fprint(conn, head+"3\r\nabc\r\n0\r\nX-T: end\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	r := u.Request(1)
	if r.Method != "POST" || r.Target != "/a%2fb//c?x=%7e&y" || string(r.Raw) != head || string(r.Body) != "abc" {
		t.Errorf("seen %q %q %q %q", r.Method, r.Target, r.Raw, r.Body)
	}
	if r.Fields[1].Name != "X-b" || r.Fields[2].Name != "x-A" || r.Fields[2].Value != "2" || r.Trailer.Get("X-T") != "end" {
		t.Errorf("fields %v trailer %v", r.Fields, r.Trailer)
	}
}

func TestInformationalComesFirst(t *testing.T) {
	u := upstream.Script(t, upstream.Informational(upstream.OK("x"), 103, "Link", "</a>"))
	var early string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			early = fmt.Sprint(code, " ", h.Get("Link"))
			return nil
		}})
	req, _ := http.NewRequestWithContext(ctx, "GET", u.URL(), nil)
	res, err := newClient(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if early != "103 </a>" || res.StatusCode != 200 {
		t.Errorf("early %q, then %d", early, res.StatusCode)
	}
}

func TestTrailersAndStreams(t *testing.T) {
	chunks := make(chan []byte)
	u := upstream.Script(t, upstream.ChunkedWithTrailer("body", "X-Sum", "42"), upstream.Stream(chunks), upstream.OK("z"))
	c := newClient(t, nil)
	res, err := c.Get(u.URL())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if string(body) != "body" || err != nil || res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%q %v %v", body, err, res.Trailer)
	}
	if res, err = c.Get(u.URL()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "three"} {
		chunks <- []byte(want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); string(got) != want || err != nil {
			t.Errorf("chunk %q %v, want %q at once", got, err, want)
		}
	}
	close(chunks)
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("rest %q %v", rest, err)
	}
	res.Body.Close()
	if _, body, err := get(t, c, u.URL()); body != "z" || err != nil || u.Conns() != 1 {
		t.Errorf("%q %v on %d connections", body, err, u.Conns())
	}
}

func TestCloseIdleIsNotAnnounced(t *testing.T) {
	u := upstream.Script(t, upstream.CloseIdle(upstream.OK("a")), upstream.CloseAfter(upstream.OK("b")), upstream.OK("c"))
	var closes []bool
	for range 3 {
		res, err := newClient(t, nil).Get(u.URL())
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		closes = append(closes, res.Close)
	}
	if !reflect.DeepEqual(closes, []bool{false, true, false}) || u.Conns() != 3 {
		t.Errorf("announced %v on %d connections", closes, u.Conns())
	}
}

func TestExpectContinue(t *testing.T) {
	u := upstream.Script(t, upstream.OK("taken"), upstream.Early(upstream.Status(413, "no")))
	for _, want := range []struct {
		status, body string
	}{{"200 OK", "hello"}, {"413 Request Entity Too Large", ""}} {
		transport := &http.Transport{ExpectContinueTimeout: time.Hour}
		req, _ := http.NewRequest("POST", u.URL(), strings.NewReader("hello"))
		req.Header.Set("Expect", "100-continue")
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		transport.CloseIdleConnections()
		if r := u.Request(u.Hits()); res.Status != want.status || string(r.Body) != want.body {
			t.Errorf("%s, body seen %q, want %v", res.Status, r.Body, want)
		}
	}
}

func TestHeadAndNoContentCarryNoBody(t *testing.T) {
	u := upstream.Script(t, upstream.OK("12345"), upstream.Status(204), upstream.OK("after"))
	c := newClient(t, nil)
	res, err := c.Head(u.URL())
	if err != nil || res.ContentLength != 5 {
		t.Fatalf("%v %v", res, err)
	}
	if status, _, err := get(t, c, u.URL()); status != 204 || err != nil {
		t.Errorf("%d %v", status, err)
	}
	if _, body, err := get(t, c, u.URL()); body != "after" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}

func TestFuncSeesTheRequest(t *testing.T) {
	u := upstream.Func(t, func(n int, r *upstream.Seen) upstream.Step {
		return upstream.JSON(200, fmt.Sprint(n, string(r.Body)))
	})
	res, err := newClient(t, nil).Post(u.URL(), "text/plain", strings.NewReader("-echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "1-echo" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%q %v", body, res.Header)
	}
}

func TestRefusedAndDropped(t *testing.T) {
	c := newClient(t, nil)
	if _, _, err := get(t, c, upstream.Refused(t)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	u := upstream.Always(t, upstream.OK("x"))
	for range 2 {
		if _, _, err := get(t, newClient(t, nil), u.URL()); err != nil {
			t.Error(err)
		}
		u.Drop()
	}
}

func TestClientThatLeavesInItsBodyIsNoMistake(t *testing.T) {
	u := upstream.Script(t, upstream.OK("never"))
	conn, err := net.Dial("tcp", u.Addr())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
	conn.Close()
	u.WaitGone(1)
	if r := u.Request(1); r.Err == nil || string(r.Body) != "half" {
		t.Errorf("%v %q", r.Err, r.Body)
	}
}
