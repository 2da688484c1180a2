package upstream

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// conn is one connection and the request it is on.
type conn struct {
	server *Server
	id     int
	raw    net.Conn // the socket
	rw     net.Conn // the socket, or TLS over it
	tap    *tap
	br     *bufio.Reader
}

func (s *Server) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		if c := s.admit(raw); c != nil {
			s.running.Go(c.serve)
		}
	}
}

// admit registers the connection, or closes it when the test has ended meanwhile.
func (s *Server) admit(raw net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = raw.Close()
		return nil
	}
	s.dialled++
	c := &conn{server: s, id: s.dialled, raw: raw, rw: raw}
	if s.tls != nil {
		c.rw = tls.Server(raw, s.tls)
	}
	c.tap = &tap{from: c.rw}
	c.br = bufio.NewReader(c.tap)
	s.open[c] = c.id
	return c
}

func (c *conn) serve() {
	defer func() {
		_ = c.rw.Close()
		c.server.mu.Lock()
		delete(c.server.open, c)
		c.server.mu.Unlock()
	}()
	for c.one() {
	}
}

// one reads a request and plays its step; it reports whether the connection may carry another.
func (c *conn) one() bool {
	c.tap.trim(c.br.Buffered())
	if _, err := c.br.Peek(1); err != nil {
		return false // idle connection closed, or a TLS handshake that failed
	}
	n, step, fixed := c.server.take()
	gone := make(chan struct{})
	x := &exchange{conn: c, seen: &Seen{N: n, Conn: c.id, Time: time.Now(), Gone: gone}, gone: gone}
	if fixed && step.unseen {
		c.server.record(x.seen)
		return false
	}
	if !c.receive(x, fixed && step.early) {
		return false
	}
	if !fixed {
		step = c.server.source.fn(n, x.seen)
	}
	good := x.play(step) && !step.closes && !x.req.Close
	if step.early {
		c.hangUp()
	}
	return good
}

// hangUp ends the sending side and reads on until the client is done: closing with unread bytes would reset the
// connection and could take the answer with it (RFC 9112 section 9.6).
func (c *conn) hangUp() {
	if half, ok := c.rw.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, c.br)
}

// receive reads head and, unless early, body. It records the request whatever comes of it.
func (c *conn) receive(x *exchange, early bool) bool {
	defer c.server.record(x.seen)
	if state, ok := c.rw.(*tls.Conn); ok {
		cs := state.ConnectionState()
		x.seen.TLS = &cs
	}
	req, err := readHead(c.br, c.tap, x.seen)
	if err != nil {
		if !cutOff(err) {
			c.server.complain("request %d is not HTTP: %v: %q", x.seen.N, err, x.seen.Raw)
		}
		return false
	}
	x.req = req
	if early {
		return true
	}
	if strings.EqualFold(req.Header.Get("Expect"), "100-continue") && !x.send("HTTP/1.1 100 Continue\r\n\r\n") {
		return false
	}
	if err := readBody(req, x.seen); err != nil {
		if !cutOff(err) {
			c.server.complain("body of request %d is malformed: %v", x.seen.N, err)
		}
		x.leave()
		return false
	}
	return true
}

// cutOff tells a client that went away from one that sent nonsense.
func cutOff(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network) || strings.Contains(err.Error(), "unexpected EOF") // also in a trailer
}
