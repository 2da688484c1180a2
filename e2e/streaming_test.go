package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// streamed switches off every policy that needs a request body twice.
const streamed = "idempotency: off\nretry: off\ndlq: off"

func TestEventsArriveOneByOne(t *testing.T) {
	t.Parallel()
	next := make(chan bool)
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, _ Hit) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			_ = http.NewResponseController(w).Flush() // at first the head alone
			select {
			case more := <-next:
				if !more {
					return
				}
			case <-r.Context().Done():
				return
			}
			fmt.Fprintf(w, "data: %d\n\n", n)
		}
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	response, err := s.client.Get(s.URL("/sales/events"))
	must(t, err)
	defer response.Body.Close()
	events := bufio.NewReader(response.Body)
	for n := range 10 { // the upstream sends an event only after the one before was seen
		next <- true
		line, err := events.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", n); err != nil || line != want {
			t.Fatalf("event %d arrived as %q: %v", n, line, err)
		}
		_, _ = events.ReadString('\n')
	}
	next <- false
	if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
		t.Errorf("after the last event came %q: %v", rest, err)
	}
}

// The first bytes of a long response may be all the application needs; a known length does not make them wait.
func TestLongResponseArrivesAsItComes(t *testing.T) {
	t.Parallel()
	const length = 1 << 20
	gate := NewGate(t)
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		w.Header().Set("Content-Length", fmt.Sprint(length))
		_, _ = io.WriteString(w, "first bytes")
		_ = http.NewResponseController(w).Flush()
		gate.Hold(OK(strings.Repeat("x", length-len("first bytes"))))(w, r, h)
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 60s, total: 120s }")})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL("/sales/a"), nil)
	must(t, err)
	response, err := s.client.Do(request)
	must(t, err)
	defer response.Body.Close()
	first := make([]byte, len("first bytes"))
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "first bytes" {
		t.Fatalf("before the rest was sent, %q had arrived: %v", first, err)
	}
	gate.Open()
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) != length-len(first) {
		t.Errorf("%d bytes followed, want %d: %v", len(rest), length-len(first), err)
	}
}

func TestInformationalResponsesAreForwarded(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	gate := NewGate(t)
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		gate.Hold(OK("done"))(w, r, h)
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			seen <- fmt.Sprint(code, " ", h.Get("Link"))
			return nil
		}})
	done := make(chan Answer, 1)
	go func() {
		a, _ := s.Try(ctx, http.MethodGet, "/sales/a", "")
		done <- a
	}()
	if got := Receive(t, seen, "the 103 before the answer"); got != "103 </style.css>; rel=preload" {
		t.Errorf("informational response %q", got)
	}
	gate.Open()
	Receive(t, done, "the answer").WantStatus(t, 200)
}

func TestTrailersPassBothWays(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, func(w http.ResponseWriter, _ *http.Request, h Hit) {
		w.Header().Set("Trailer", "X-Response-Sum")
		_, _ = io.WriteString(w, "body")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("X-Response-Sum", "sum-of-"+h.Trailer.Get("X-Request-Sum"))
	})
	s := Start(t, Setup{Adapters: Adapter("streamed", up.URL, streamed) + Adapter("buffered", up.URL)})
	for _, name := range []string{"streamed", "buffered"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL("/"+name+"/a"), io.NopCloser(strings.NewReader("hello")))
		must(t, err)
		request.Trailer = http.Header{"X-Request-Sum": {"abc"}}
		response, err := s.client.Do(request)
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		if got := response.Trailer.Get("X-Response-Sum"); got != "sum-of-abc" || string(body) != "body" {
			t.Errorf("%s: trailer %q after %q, want sum-of-abc", name, got, body)
		}
		if response.Header.Get("X-Response-Sum") != "" || up.Last(t).Header.Get("X-Request-Sum") != "" {
			t.Errorf("%s: a trailer field was merged into the header", name)
		}
	}
}

func TestLargeBodiesPassUnchanged(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB
	up := NewUpstream(t, func(w http.ResponseWriter, _ *http.Request, h Hit) { _, _ = io.WriteString(w, h.Body) })
	s := Start(t, Setup{Adapters: Adapter("streamed", up.URL, streamed, "max_body: 16MiB") + Adapter("buffered", up.URL, "max_body: 16MiB")})
	for _, name := range []string{"streamed", "buffered"} {
		if a := s.Post(t, "/"+name+"/a", body); a.Status != 200 || a.Body != body {
			t.Errorf("%s: status %d, %d of %d bytes came back", name, a.Status, len(a.Body), len(body))
		}
	}
}

func TestCompressionIsNotTouched(t *testing.T) {
	t.Parallel()
	const zipped = "\x1f\x8b\x08\x00 not really gzip, and nobody's business"
	up := NewUpstream(t, OK(zipped, "Content-Encoding: gzip"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for _, accept := range []string{"", "br", "gzip"} {
		var fields []string
		if accept != "" {
			fields = append(fields, "Accept-Encoding: "+accept)
		}
		a := s.Get(t, "/sales/a", fields...)
		if a.Body != zipped || a.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("the body arrived as %q with Content-Encoding %q", a.Body, a.Header.Get("Content-Encoding"))
		}
		if got := up.Last(t).Header.Get("Accept-Encoding"); got != accept {
			t.Errorf("Accept-Encoding %q at the upstream, want the application's %q", got, accept)
		}
	}
}

func TestClientThatLeavesCancelsTheUpstream(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("late")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 60s, total: 120s }")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, _ = s.Try(ctx, http.MethodGet, "/sales/a", "") }()
	gate.WaitEntered(t)
	cancel()
	Receive(t, gate.Left, "the upstream to see the call cancelled")
	Eventually(t, "the call to be counted as canceled", func() bool {
		return s.Metrics(t)[`integration_errors_total{adapter_id="sales",error_type="canceled"}`] == 1
	})
	up.WantCount(t, 1)
}
