package upstream

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// play answers the request and reports whether the connection is still good for another.
func (x *exchange) play(s Step) bool {
	for _, f := range s.before {
		if !f(x) {
			return false
		}
	}
	if s.answer != nil {
		return s.answer(x, s)
	}
	return x.respond(s)
}

// respond writes a complete response. Without a pace it is a single write, so that a client sees all or nothing.
func (x *exchange) respond(s Step) bool {
	bodiless := s.status == http.StatusNoContent || s.status == http.StatusNotModified
	switch {
	case s.chunked:
		s.fields = framing(s)
	case !bodiless && !s.fields.Has("Content-Length"):
		s.fields = append(wire.Fields{{Name: "Content-Length", Value: strconv.Itoa(len(s.body))}}, s.fields...)
	}
	head := responseHead(s.status, s.fields)
	if bodiless || x.req.Method == http.MethodHead {
		return x.send(head)
	}
	if s.pace == 0 {
		return x.send(head + body(s))
	}
	return x.send(head) && x.trickle(body(s), s.pace)
}

func (x *exchange) trickle(body string, pace time.Duration) bool {
	for i := range len(body) {
		if !x.pause(pace) || !x.send(body[i:i+1]) {
			return false
		}
	}
	return true
}

// pause waits d and reports whether the client is still there.
func (x *exchange) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return x.watch(func(gone <-chan struct{}) bool {
		select {
		case <-timer.C:
			return true
		case <-gone:
		case <-x.conn.server.done:
		}
		return false
	})
}

func (x *exchange) stream(s Step, chunks <-chan []byte) bool {
	if !x.send(responseHead(s.status, framing(s))) {
		return false
	}
	return x.watch(func(gone <-chan struct{}) bool {
		for {
			select {
			case b, more := <-chunks:
				if !more {
					return x.send("0\r\n\r\n")
				}
				if !x.send(chunk(string(b))) {
					return false
				}
			case <-gone:
				return false
			case <-x.conn.server.done:
				return false
			}
		}
	})
}

func reset(x *exchange, _ Step) bool {
	if tcp, ok := x.conn.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close() // under TLS too: a reset sends no closing alert
	}
	return false
}

// framing returns the fields of a chunked response.
func framing(s Step) wire.Fields {
	fields := wire.Fields{{Name: "Transfer-Encoding", Value: "chunked"}}
	for _, f := range s.trailer {
		fields.Add("Trailer", f.Name)
	}
	return append(fields, s.fields...)
}

func body(s Step) string {
	if !s.chunked {
		return s.body
	}
	return chunk(s.body) + "0\r\n" + lines(s.trailer) + "\r\n"
}

// chunk frames data; an empty chunk would end the body, so it is left out.
func chunk(data string) string {
	if data == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(data), data)
}

func responseHead(status int, fields wire.Fields) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n", status, http.StatusText(status), lines(fields))
}

func lines(fields wire.Fields) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	return b.String()
}
