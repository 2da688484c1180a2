package proxy

import (
	"bytes"
	"net"
	"strconv"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// problemListener gives out connections on which the answers that net/http makes by itself, to bytes that are no
// valid request, are problems like every other answer of ours. net/http offers no hook for them.
type problemListener struct{ net.Listener }

// Accept implements net.Listener.
func (l problemListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &problemConn{Conn: conn}, nil
}

type problemConn struct{ net.Conn }

// cannedFields follow the status line of net/http's own answers, and of no other: those have a Date.
var cannedFields = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

const (
	statusLine = "HTTP/1.1 "
	maxCanned  = 512
)

// Write implements net.Conn.
func (c *problemConn) Write(p []byte) (int, error) {
	if len(p) > maxCanned || !bytes.HasPrefix(p, []byte(statusLine)) {
		return c.Conn.Write(p)
	}
	line, _, _ := bytes.Cut(p, []byte("\r\n"))
	if !bytes.HasPrefix(p[len(line):], cannedFields) || len(line) < len(statusLine)+3 {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(malformed(line[len(statusLine):])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// malformed renders a whole answer that keeps net/http's status.
func malformed(status []byte) []byte {
	p := problem.New(problem.InvalidRequest, "The request is not valid HTTP.")
	p.Code, _ = strconv.Atoi(string(status[:3])) // 0, and so 400, if it were no number
	resp := p.Render(problem.Exchange{})
	var b bytes.Buffer
	b.WriteString(statusLine)
	reason, _, _ := bytes.Cut(status, []byte(":")) // what follows repeats parts of the request
	b.Write(reason)
	for _, f := range resp.Fields {
		b.WriteString("\r\n" + f.Name + ": " + f.Value)
	}
	b.WriteString("\r\nContent-Length: " + strconv.Itoa(len(resp.Content)) + "\r\nConnection: close\r\n\r\n")
	b.Write(resp.Content)
	return b.Bytes()
}
