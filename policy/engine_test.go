package policy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// net/http sends some requests a second time by itself when a kept connection breaks (FINDINGS: isReplayable). Each
// hit must be an attempt that our own policies know of.
func TestNothingIsSentTwiceBehindOurBack(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for name, step := range map[string]upstream.Step{"closed": upstream.CloseAfterRead(), "reset": upstream.Reset()} {
			for _, body := range []string{"", "{}"} {
				for _, key := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
					t.Run(method+" "+name+" "+key+" "+body, func(t *testing.T) {
						u := upstream.Script(t, upstream.OK(""), step) // a surplus request fails the test
						r := newRig(t, u.URL(), quick(retryOff, func(s *Settings) { s.Idempotency.Header = key }))
						_ = r.call("GET", "/warm", "")
						x := r.exchange(method, "/", body, key, "k-1")
						written := 0
						x.Ctx = httptrace.WithClientTrace(x.Ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written++ }})
						a := r.run(x)
						q := u.Request(2)
						if kindOf(a.err) != problem.UpstreamUnreachable || written != 1 || len(x.Attempts) != 1 || q.Conn != 1 || q.Fields.Get(key) != "k-1" {
							t.Errorf("%v, written %d times in %d attempts on connection %d with key %q", a.err, written, len(x.Attempts), q.Conn, q.Fields.Get(key))
						}
					})
				}
			}
		}
	}
}

func TestAnIdleConnectionThatWasClosedLosesNoWrite(t *testing.T) {
	for range 20 {
		u := upstream.Script(t, upstream.CloseIdle(upstream.OK("")), upstream.OK("made"))
		r := newRig(t, u.URL(), quick(retryOff))
		closed := watchReads(r.host.engine)
		_ = r.call("GET", "/", "")
		<-closed
		a := r.call("POST", "/", "{}")
		if a.err != nil || a.body != "made" || len(a.x.Attempts) != 1 {
			t.Fatalf("%v after %d attempts", a.err, len(a.x.Attempts))
		}
	}
}

func TestTheTargetReachesTheUpstreamByteForByte(t *testing.T) {
	for _, target := range []string{"/", "/a/b", "/a%2Fb", "/a%2fb", "/%C3%A4", "/a;b=c", "/a//b", "//", "//evil.test/x", "/a?", "/?a=b&a=c", "/?q=%20+%2B", "/a?b?c", "/'()*!,~", "/a:b@c",
		"/a/./b", "/[x]", "/{id}", "/a|b", `/"quoted"`, "/^`<>", "//?", "//%2F?x=%zz", "/?%"} {
		t.Run(target, func(t *testing.T) {
			u := upstream.Script(t, upstream.OK(""))
			if a := newRig(t, u.URL(), quick()).call("GET", target, ""); a.err != nil {
				t.Fatal(a.err)
			}
			if got := u.Request(1).Target; got != target {
				t.Errorf("arrived as %s", got)
			}
		})
	}
	u := upstream.Script(t, upstream.OK(""))
	_ = newRig(t, u.URL()+"/base%2F1/", quick()).call("GET", "//x?y", "")
	if got := u.Request(1).Target; got != "/base%2F1//x?y" {
		t.Errorf("below a base path it arrived as %s", got)
	}
}

func TestOnlyTheApplicationsFieldsAreSent(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""), upstream.OK(""))
	r := newRig(t, u.URL(), quick())
	_ = r.call("GET", "/", "", "Accept", "a", "Accept", "b", "X-Tenant-ID", "acme")
	q := u.Request(1)
	if names := fieldNames(q.Fields); !slices.Equal(names, []string{"accept", "accept", "host", "x-correlation-id"}) || q.Host != u.Addr() {
		t.Errorf("a GET carries %v for %s", names, q.Host)
	}
	_ = r.call("POST", "/", "{}", "User-Agent", "app/1", "Content-Type", "application/json")
	q = u.Request(2)
	if names := fieldNames(q.Fields); !slices.Equal(names, []string{"content-length", "content-type", "host", "user-agent", "x-correlation-id", "x-idempotency-key"}) {
		t.Errorf("a POST carries %v", names)
	}
}

func fieldNames(f wire.Fields) []string {
	var names []string
	for _, field := range f {
		names = append(names, strings.ToLower(field.Name))
	}
	slices.Sort(names)
	return names
}

func TestAResponseIsPassedOnAsItCame(t *testing.T) {
	step := upstream.WithHeader(upstream.ChunkedWithTrailer("data", "X-Sum", "1"), "Set-Cookie", "a=1", "Set-Cookie", "b=2", "Content-Encoding", "gzip",
		"Connection", "X-Hop", "X-Hop", "here", "Keep-Alive", "timeout=5", "X-End", "to end")
	u := upstream.Script(t, step)
	resp, err := newRig(t, u.URL(), quick()).next(newRig(t, u.URL(), quick()).exchange("GET", "/", ""))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Stream)
	resp.Close()
	if names := fieldNames(resp.Fields); !slices.Equal(names, []string{"content-encoding", "set-cookie", "set-cookie", "x-end"}) || string(body) != "data" {
		t.Errorf("%v with %q", names, body)
	}
	if trailer := resp.Trailer(); len(trailer) != 1 || trailer.Get("X-Sum") != "1" {
		t.Errorf("trailer %v", trailer)
	}
}

func TestInterimResponsesAreHandedOn(t *testing.T) {
	u := upstream.Script(t, upstream.Informational(upstream.Informational(upstream.OK(""), 103, "Link", "</a>"), 102))
	r := newRig(t, u.URL(), quick())
	x := r.exchange("GET", "/", "")
	var got []string
	x.Inform = func(status int, f wire.Fields) { got = append(got, http.StatusText(status)+f.Get("Link")) }
	if a := r.run(x); a.err != nil || !slices.Equal(got, []string{"Processing", "Early Hints</a>"}) {
		t.Errorf("%v, %v", got, a.err)
	}
	s := &sending{x: x}
	_ = s.got1xx(100, textproto.MIMEHeader{})
	_ = s.got1xx(101, textproto.MIMEHeader{})
	if len(got) != 2 {
		t.Errorf("handed on: %v", got)
	}
}

func TestTrailersOfTheApplicationAreSent(t *testing.T) {
	u := upstream.Script(t, upstream.OK(""), upstream.OK(""))
	r := newRig(t, u.URL(), quick(retryOff, func(s *Settings) { s.Idempotency, s.DeadLetter = nil, nil }))
	buffered := r.exchange("POST", "/", "data")
	buffered.Request.Trailer = func() wire.Fields { return wire.Fields{{Name: "X-Sum", Value: "1"}} }
	streaming := r.exchange("POST", "/", "")
	streaming.Request.Body = wire.Body{Stream: io.NopCloser(strings.NewReader("data")), Length: -1}
	streaming.Request.Trailer = buffered.Request.Trailer
	for i, x := range []*Exchange{buffered, streaming} {
		if a := r.run(x); a.err != nil {
			t.Fatal(a.err)
		}
		if q := u.Request(i + 1); q.Trailer.Get("X-Sum") != "1" || string(q.Body) != "data" {
			t.Errorf("request %d: %q with trailer %v", i+1, q.Body, q.Trailer)
		}
	}
}
