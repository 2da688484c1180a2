package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// RawAnswer is everything that came back on one connection.
type RawAnswer struct {
	Bytes     string
	Responses []Answer // those that could be parsed
	Closed    bool     // the sidecar closed the connection before the deadline
}

// Raw writes bytes on a new connection to address and reads until the other side closes, or is silent for a while
// after it has answered.
func Raw(t testing.TB, address, request string) RawAnswer {
	t.Helper()
	c := DialRaw(t, address)
	go func() { _, _ = io.WriteString(c, request) }() // a refused request need not be read to its end
	var got bytes.Buffer
	buf := make([]byte, 32<<10)
	closed := false
	for idle := patience; ; idle = 700 * time.Millisecond {
		_ = c.SetReadDeadline(time.Now().Add(idle))
		n, err := c.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			var network net.Error
			closed = !(asNetError(err, &network) && network.Timeout())
			break
		}
	}
	return RawAnswer{Bytes: got.String(), Responses: parseResponses(got.Bytes()), Closed: closed}
}

func asNetError(err error, into *net.Error) bool {
	n, ok := err.(net.Error)
	*into = n
	return ok
}

// DialRaw connects to address; the connection ends with the test.
func DialRaw(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatalf("connect to %s: %v", address, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// parseResponses reads responses one after the other, without 1xx.
func parseResponses(b []byte) []Answer {
	var all []Answer
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(response.Body)
		if response.StatusCode >= 200 {
			all = append(all, Answer{Status: response.StatusCode, Header: response.Header, Trailer: response.Trailer, Body: string(body)})
		}
		if err != nil {
			return all
		}
	}
}

// RawServer is an external system that speaks bytes.
type RawServer struct {
	URL      string
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	closed   int
}

// RawUpstream accepts connections and calls serve for the nth (from 1), which ends the connection by returning.
func RawUpstream(t testing.TB, serve func(c net.Conn, n int)) *RawServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s := &RawServer{URL: "http://" + l.Addr().String(), listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := s.add(c)
			running.Go(func() {
				defer c.Close()
				serve(c, n)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.closeAll()
		running.Wait()
	})
	return s
}

func (s *RawServer) add(c net.Conn) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return s.closed + len(s.conns)
}

// Conns counts the connections so far.
func (s *RawServer) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed + len(s.conns)
}

func (s *RawServer) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// ReadRequest takes one request, with its body, off a connection.
func ReadRequest(c net.Conn) (*http.Request, string, error) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(r.Body)
	return r, string(body), err
}

// Canned reads one request on each connection, answers it with bytes and closes.
func Canned(t testing.TB, response string) *RawServer {
	t.Helper()
	return RawUpstream(t, func(c net.Conn, _ int) {
		if _, _, err := ReadRequest(c); err == nil {
			_, _ = io.WriteString(c, response)
		}
	})
}
