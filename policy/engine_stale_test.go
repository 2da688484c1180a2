package policy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// watchReads tells when a read of any of the engine's connections has failed, and then every later write on that
// connection fails too, as on a socket whose peer has answered with a reset: what net/http may still put into a
// connection it has not yet learned to be closed never leaves.
func watchReads(e *engine) <-chan struct{} {
	closed, dial := make(chan struct{}, 100), e.line.Load().DialContext
	e.line.Load().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		counted := conn.(*countedConn)
		counted.Conn = &watchedConn{Conn: counted.Conn, closed: closed}
		return counted, nil
	}
	return closed
}

type watchedConn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
	over   atomic.Bool
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.over.Store(true)
		c.once.Do(func() { c.closed <- struct{}{} })
	}
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	if c.over.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func TestAConnectionThatTakesNoByteIsReplacedAtOnce(t *testing.T) {
	for _, body := range []string{"", "{}"} {
		u := upstream.Script(t, upstream.OK(""), upstream.OK("made"))
		r := newRig(t, u.URL(), quick(retryOff))
		var first *watchedConn
		dial := r.host.engine.line.Load().DialContext
		r.host.engine.line.Load().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if counted, ok := conn.(*countedConn); ok && first == nil {
				first = &watchedConn{Conn: counted.Conn, closed: make(chan struct{}, 1)}
				counted.Conn = first
			}
			return conn, err
		}
		_ = r.call("GET", "/", "")
		first.over.Store(true) // from now on it takes nothing, and nobody has been told
		a := r.call("POST", "/", body, "Idempotency-Key", "k")
		if a.err != nil || a.body != "made" || len(a.x.Attempts) != 1 || u.Conns() != 2 {
			t.Errorf("body %q: %v after %d attempts on %d connections", body, a.err, len(a.x.Attempts), u.Conns())
		}
	}
}

// net/http would send a read again by itself, once per idle connection, with the same signature and past the limit.
func TestAReadIsNotSentAgainBehindOurBack(t *testing.T) {
	u := upstream.Func(t, func(n int, _ *upstream.Seen) upstream.Step {
		if n <= 8 {
			return upstream.OK("warm")
		}
		return upstream.CloseAfterRead()
	})
	r := newRig(t, u.URL(), quick(retryOff))
	gate := make(chan struct{})
	var warm sync.WaitGroup
	for range 8 { // several idle connections
		warm.Go(func() {
			<-gate
			r.call("GET", "/", "")
		})
	}
	close(gate)
	warm.Wait()
	x := testExchange(t, "GET", "/", "")
	_, err := r.next(x)
	if kindOf(err) != problem.UpstreamUnreachable || u.Hits() != 9 || len(x.Attempts) != 1 || !x.Attempts[0].Sent {
		t.Errorf("%v after %d requests, attempts %+v; want one request more and upstream-unreachable", err, u.Hits(), x.Attempts)
	}
}

// What the external system says must not decide whether its own request is sent again.
func TestWordsOfTheProviderDoNotMakeARequestUnprocessed(t *testing.T) {
	for _, words := range []string{"REFUSED_STREAM", "HTTP/1.1 200 OK\r\ngraceful shutdown GOAWAY", cannotRetry + leftOut + afterWritten, notUsable} {
		u := upstream.Script(t, upstream.Malformed([]byte(words+"\r\n\r\n")))
		x := testExchange(t, "POST", "/orders", "body")
		if _, err := newRig(t, u.URL(), quick()).next(x); err == nil || !x.Unknown || u.Hits() != 1 {
			t.Errorf("%q: %v, unknown %v, %d requests", words, err, x.Unknown, u.Hits())
		}
	}
}
