package main

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// client is one keep-alive connection of the load generator. It writes prepared bytes and reads into one buffer:
// the cheaper the generator, the more of a shared machine is left to the proxy it measures.
type client struct {
	conn net.Conn
	buf  []byte
}

// dial connects; every call on the connection must be done before deadline.
func dial(addr string, deadline time.Time) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &client{conn: conn, buf: make([]byte, 2*maxHead+bodySize)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// call sends one request and returns status and body; the body is valid until the next call.
func (c *client) call(request []byte) (int, []byte, error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	h, n, err := readHead(c.conn, c.buf, 0)
	if err != nil {
		return 0, nil, err
	}
	status, err := h.status()
	if err != nil {
		return 0, nil, err
	}
	if h.length < 0 {
		return status, nil, errChunked
	}
	end := h.size + h.length
	if end > len(c.buf) {
		return status, nil, fmt.Errorf("answer of %d bytes", end)
	}
	for n < end {
		more, err := c.conn.Read(c.buf[n:])
		if n += more; err != nil && n < end {
			return status, nil, fmt.Errorf("answer cut after %d of %d bytes: %w", n, end, err)
		}
	}
	if n > end {
		return status, nil, fmt.Errorf("%d bytes after the answer", n-end)
	}
	if h.closes {
		return status, c.buf[h.size:end], errors.New("the proxy closes a keep-alive connection")
	}
	return status, c.buf[h.size:end], nil
}

// expect is call plus the check that the answer is, byte for byte, the one the workload must get.
func (c *client) expect(w *workload, request []byte) error {
	status, body, err := c.call(request)
	if err != nil {
		return err
	}
	if status != w.status || string(body) != w.answer {
		return fmt.Errorf("answer %d with a body of %d bytes instead of %d with %d: %.200s",
			status, len(body), w.status, len(w.answer), body)
	}
	return nil
}

// readHead reads until a head is complete in buf, which holds n bytes already, and returns the bytes it then holds.
func readHead(conn net.Conn, buf []byte, n int) (head, int, error) {
	for {
		if n > 0 {
			h, err := parseHead(buf[:n])
			if !errors.Is(err, errPartial) {
				return h, n, err
			}
		}
		if n == len(buf) {
			return head{}, n, fmt.Errorf("head of more than %d bytes", n)
		}
		more, err := conn.Read(buf[n:])
		if n += more; err != nil && more == 0 {
			return head{}, n, err
		}
	}
}
