package policy

import (
	"net"
	"sync/atomic"
	"syscall"
)

// countedConn counts the bytes written, so that an attempt whose connection broke can prove that nothing was sent. On
// a connection that was idle it looks, before the first byte of the next request, whether the external system has
// closed it meanwhile: a request written into a closed connection may or may not have been seen.
type countedConn struct {
	net.Conn
	written atomic.Int64
	next    atomic.Int32 // what the next write does first: nothing, lookFirst or refuseNext
	raw     syscall.RawConn
}

const (
	lookFirst  = 1 // see whether the other side has closed
	refuseNext = 2 // write nothing: the request was sent once already
)

func newCountedConn(conn net.Conn) *countedConn {
	c := &countedConn{Conn: conn}
	if s, ok := conn.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // nil: no look is taken
	}
	return c
}

func (c *countedConn) Write(p []byte) (int, error) {
	if todo := c.next.Swap(0); todo == refuseNext || todo == lookFirst && c.raw != nil && closedByPeer(c.raw) {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}
