package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
)

const roleUpstream = "bench-upstream"

// runUpstream is the role that stands for the external system: as fast as a socket allows, so that what is measured
// is the proxy. It answers by method, and /echo with the head it received, by which the bench sees what a proxy sent.
func runUpstream(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(roleUpstream, flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	return acceptAll(listener)
}

// acceptAll serves until the listener is closed.
func acceptAll(listener net.Listener) error {
	answers := answers{get: answer(200, jsonOf(bodySize)), post: answer(201, acceptedBody)}
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go answers.serve(conn)
	}
}

// answers are the prepared responses.
type answers struct{ get, post []byte }

func answer(status int, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d Fine\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		status, "Mon, 02 Nov 2026 08:00:00 GMT", len(body), body)
}

// serve answers one connection until its peer closes it or sends what it does not understand.
func (a *answers) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 2*maxHead+bodySize)
	n := 0
	for {
		h, have, err := readHead(conn, buf, n)
		if err != nil {
			return
		}
		end := h.size + max(h.length, 0)
		for n = have; n < end; {
			if end > len(buf) {
				return
			}
			more, err := conn.Read(buf[n:])
			if n += more; err != nil {
				return
			}
		}
		if _, err := conn.Write(a.choose(h.start, buf[:h.size])); err != nil {
			return
		}
		n = copy(buf, buf[end:n])
	}
}

func (a *answers) choose(start, head []byte) []byte {
	switch {
	case bytes.HasSuffix(start, []byte("/echo HTTP/1.1")):
		return answer(200, strings.TrimSpace(string(head)))
	case bytes.HasPrefix(start, []byte("POST ")):
		return a.post
	}
	return a.get
}
