package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A provider that closes idle connections must cost no call, also none that may be sent only once: a connection that
// was closed before the first byte went out is replaced.
func TestClosedIdleConnectionCostsNoCall(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	up := RawUpstream(t, func(c net.Conn, _ int) {
		for r := bufio.NewReader(c); ; {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			served.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off")})
	const rounds = 100
	failed := 0
	for n := range rounds {
		for _, body := range []string{fmt.Sprint(n), ""} {
			if a := s.Post(t, "/sales/orders", body); a.Status != 200 {
				if failed++; failed == 1 {
					t.Errorf("POST %d after the idle connection was closed: %d %.300q", n, a.Status, a.Body)
				}
			}
			up.closeSeen(t)
		}
	}
	if failed > 0 || served.Load() != 2*rounds {
		t.Errorf("%d of %d POSTs failed, the provider served %d", failed, 2*rounds, served.Load())
	}
	if up.Conns() < rounds {
		t.Errorf("only %d connections in %d rounds: nothing was closed", up.Conns(), rounds)
	}
}

// closeSeen closes every connection and returns when the other side's kernel has taken note of it: from then on
// whoever looks can know.
func (s *RawServer) closeSeen(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		tcp := c.(*net.TCPConn)
		if tcp.CloseWrite() == nil {
			Eventually(t, "the end of a connection to be acknowledged", func() bool { return endAcknowledged(t, tcp) })
		}
		_ = c.Close()
	}
	s.closed += len(s.conns)
	s.conns = nil
}

func endAcknowledged(t testing.TB, c *net.TCPConn) bool {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		return true // closed by its own handler meanwhile
	}
	const finWait1 = 4 // TCP_FIN_WAIT1 of linux/tcp_states.h: the end is sent and not acknowledged
	acknowledged := true
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		acknowledged = err != nil || info.State != finWait1
	})
	return acknowledged
}

// Connections are worth keeping: calls one after the other need one.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	up := RawUpstream(t, func(c net.Conn, _ int) {
		for r := bufio.NewReader(c); ; {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
		}
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for range 10 {
		s.Get(t, "/sales/a").WantStatus(t, 503) // three attempts each: what failed is drained, not dropped
		s.Post(t, "/sales/a", "{}").WantStatus(t, 503)
	}
	if up.Conns() != 1 {
		t.Errorf("%d connections for calls one after the other, want 1", up.Conns())
	}
}
