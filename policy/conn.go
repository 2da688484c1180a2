package policy

import (
	"net"
	"sync/atomic"
)

// countedConn counts the bytes written, so that an attempt whose connection broke can prove that nothing was sent.
type countedConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}
