package policy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// watchReads tells when a read of any of the engine's connections has failed, and then every later write on that
// connection fails too, as on a socket whose peer has answered with a reset: what net/http may still put into a
// connection it has not yet learned to be closed never leaves.
func watchReads(e *engine) <-chan struct{} {
	closed, dial := make(chan struct{}, 100), e.transport.DialContext
	e.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
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
