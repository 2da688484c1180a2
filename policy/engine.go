package policy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/egress"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// engine sends attempts of one adapter upstream with net/http. It is the only place in this package that knows it.
type engine struct {
	scheme string
	host   string
	party  tlsParty

	files     *TLSFiles
	transport func(*tls.Config) *http.Transport
	line      atomic.Pointer[line]
	looking   sync.Mutex
	looked    atomic.Int64 // when the files were looked at last, in nanoseconds
	closed    bool         // guarded by looking
}

// line is the connections made with one state of the TLS files.
type line struct {
	*http.Transport
	config *tls.Config
}

const (
	maxIdleConns   = 256
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 256 << 10
)

// lookAtFiles is the least time between two looks at the TLS files for the sake of connections that are open already.
const lookAtFiles = time.Second

func newEngine(upstream *url.URL, s *HostSettings, connect time.Duration, kept func(why error)) (*engine, error) {
	files, err := s.TLS.Follow(kept)
	if err != nil {
		return nil, err
	}
	guard, err := newEgressGuard(upstream.Hostname(), s.Egress)
	if err != nil {
		return nil, err
	}
	e := &engine{scheme: upstream.Scheme, host: authority(upstream), party: newTLSParty(upstream.Hostname(), s.TLS), files: files,
		transport: func(c *tls.Config) *http.Transport { return newTransport(guard, c, connect) }}
	config := files.Config()
	e.line.Store(&line{e.transport(config), config})
	return e, nil
}

func newTransport(guard *egress.Guard, config *tls.Config, connect time.Duration) *http.Transport {
	dialer := net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	return &http.Transport{ // Proxy stays nil: the environment's must not see calls that nobody sent it
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := guard.Dial(ctx, dialer, network, address)
			if err != nil {
				return nil, err
			}
			return newCountedConn(conn), nil
		},
		TLSClientConfig: config.Clone(), TLSHandshakeTimeout: connect, // a clone, because it adds what HTTP/2 needs
		ForceAttemptHTTP2: true, DisableCompression: true,
		MaxIdleConns: maxIdleConns, MaxIdleConnsPerHost: maxIdleConns, IdleConnTimeout: idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// current are the connections to use. When the TLS files have changed these are new ones; those in use end with their
// exchanges.
func (e *engine) current() *line {
	now := time.Now().UnixNano()
	if !e.files.follows() || now-e.looked.Load() < int64(lookAtFiles) || !e.looking.TryLock() {
		return e.line.Load()
	}
	defer e.looking.Unlock()
	e.looked.Store(now)
	before, config := e.line.Load(), e.files.Config()
	if config == before.config || e.closed {
		return before
	}
	e.line.Store(&line{e.transport(config), config})
	before.CloseIdleConnections()
	return e.line.Load()
}

// close lets go of idle connections; those in use end with their exchanges.
func (e *engine) close() {
	e.looking.Lock()
	defer e.looking.Unlock()
	e.closed = true
	e.line.Load().CloseIdleConnections()
}

// sending is one attempt under way, seen from the connection it uses.
type sending struct {
	x        *Exchange
	stop     context.CancelFunc // ends the attempt
	conn     *countedConn
	before   int64
	reused   bool
	multiple bool // HTTP/2: the connection carries other requests too
	again    bool // net/http was about to send the request a second time by itself
	answered bool // a response has begun
	refused  bool // the external system said that it did not process the request
	rejected bool // it refused the client's certificate, which it looks at before any request
	unknown  bool // the connection does not count: assume that bytes left
}

// sent reports whether a byte of the request left for the external system. Only a certain no is a no.
func (s *sending) sent() bool {
	return s.answered || s.again || !s.refused && !s.rejected && (s.unknown || s.conn != nil && s.conn.written.Load() != s.before)
}

// gotConn is called before anything is written to the connection. A second connection after a first that took bytes is
// net/http sending a read again by itself, past limit, breaker and signature: the attempt ends here instead, and
// whether there is another is for the retry policy to say.
func (s *sending) gotConn(info httptrace.GotConnInfo) {
	s.again = s.again || s.sent()
	conn := info.Conn
	s.reused, s.multiple = info.Reused, false
	if secured, ok := conn.(*tls.Conn); ok {
		conn, s.multiple = secured.NetConn(), secured.ConnectionState().NegotiatedProtocol == "h2"
	}
	counted, ok := conn.(*countedConn)
	if !ok {
		s.unknown = true
		return
	}
	s.conn, s.before = counted, counted.written.Load()
	switch {
	case s.again:
		counted.next.Store(refuseNext)
		s.stop()
	case info.Reused && !s.multiple: // HTTP/2 tells by itself what it did not process
		counted.next.Store(lookFirst)
	}
}

func (s *sending) got1xx(status int, header textproto.MIMEHeader) error {
	if status != http.StatusContinue && status != http.StatusSwitchingProtocols {
		s.x.Inform(status, wire.FromHeader(header).EndToEnd())
	}
	return nil
}

// maxStale bounds how many closing connections one attempt may stumble over.
const maxStale = 3

// errEnded is the error of a connection that took the request and ended without an answer.
var errEnded = fmt.Errorf("the connection ended without an answer: %w", io.EOF)

// roundTrip sends the attempt's request and returns the response's head. A connection that turns out to be closed
// before a byte was written, or that refuses the request unprocessed, is replaced at once: nothing happened, so this
// is not a retry.
func (e *engine) roundTrip(ctx context.Context, stop context.CancelFunc, x *Exchange) (*http.Response, *sending, error) {
	connections := e.current()
	for n := 0; ; n++ {
		s := &sending{x: x, stop: stop}
		trace := &httptrace.ClientTrace{GotConn: s.gotConn}
		if x.Inform != nil {
			trace.Got1xxResponse = s.got1xx
		}
		resp, err := connections.RoundTrip(e.request(httptrace.WithClientTrace(ctx, trace), &x.attempt))
		if err == nil {
			s.answered = true
			return resp, s, nil
		}
		if s.again {
			return nil, s, errEnded
		}
		s.refused, s.rejected = s.refusedUnprocessed(err), !s.reused && refusesOurs(err)
		if n == maxStale || ctx.Err() != nil || !x.attempt.Body.Buffered() || !s.refused && (!s.reused || s.sent()) {
			return nil, s, e.party.explain(err)
		}
	}
}

// request translates the attempt for net/http, byte for byte where it lets us.
func (e *engine) request(ctx context.Context, r *wire.Request) *http.Request {
	req := &http.Request{Method: r.Method, URL: e.url(r.Target), Host: e.host, Header: make(http.Header, len(r.Fields)+1),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	r.Fields.AddTo(req.Header)
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header["User-Agent"] = []string{""} // net/http adds its own otherwise
	}
	switch {
	case !r.Body.Buffered():
		req.Body, req.ContentLength = r.Body.Stream, r.Body.Length
	case len(r.Body.Bytes) > 0:
		// An in-memory reader leaves with its head in one write. GetBody stays nil: net/http would send again by itself.
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.Body.Bytes)), int64(len(r.Body.Bytes))
	default:
		hideKey(req)
	}
	if r.Trailer != nil {
		e.trailer(req, r)
	}
	return req.WithContext(ctx)
}

// url keeps the target's bytes. A target that starts with two slashes would be read as an authority, so it travels as
// path and query, which net/http writes unchanged as long as it finds nothing to escape.
func (e *engine) url(target string) *url.URL {
	if !strings.HasPrefix(target, "//") {
		return &url.URL{Scheme: e.scheme, Host: e.host, Opaque: target}
	}
	raw, query, found := strings.Cut(target, "?")
	u := &url.URL{Scheme: e.scheme, Host: e.host, RawPath: raw, RawQuery: query, ForceQuery: found && query == ""}
	path, err := url.PathUnescape(raw)
	if err != nil {
		path = raw
	}
	u.Path = path
	if u.EscapedPath() != raw { // net/http would escape it anew; in absolute form it does not
		return &url.URL{Scheme: e.scheme, Host: e.host, Opaque: "//" + e.host + target}
	}
	return u
}

// hideKey keeps net/http from sending a write without a body a second time by itself, which it does when it finds an
// idempotency key under its canonical name (net/http/request.go, isReplayable). Field names have no case on the wire.
func hideKey(req *http.Request) {
	if !isWrite(req.Method) {
		return
	}
	for _, name := range keyFields {
		if values, ok := req.Header[name]; ok {
			delete(req.Header, name)
			req.Header[strings.ToLower(name)] = values
		}
	}
}

// trailer sends the request's trailer fields, which needs the chunked coding (RFC 9112 section 7.1.2).
func (e *engine) trailer(req *http.Request, r *wire.Request) {
	if r.Body.Buffered() {
		fields := r.Trailer()
		if len(fields) == 0 || len(r.Body.Bytes) == 0 {
			return
		}
		req.Trailer = http.Header{}
		fields.AddTo(req.Trailer)
	} else {
		req.Trailer = http.Header{}
		for _, f := range r.Trailer() {
			req.Trailer[f.Name] = nil
		}
		req.Body = &trailedBody{ReadCloser: req.Body, source: r.Trailer, target: req.Trailer}
	}
	req.ContentLength = -1
}

// trailedBody fills in the trailer when the application's body ends.
type trailedBody struct {
	io.ReadCloser
	source func() wire.Fields
	target http.Header
}

func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		for _, f := range b.source() {
			b.target[f.Name] = append(b.target[f.Name], f.Value)
		}
	}
	return n, err
}
