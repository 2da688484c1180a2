package policy

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestAProhibitedAddressIsNotDialled(t *testing.T) {
	resolve(t, netip.MustParseAddr("127.0.0.1"))
	u := upstream.Script(t) // nothing may arrive
	for name, c := range map[string]struct {
		url  string
		edit func(*Settings)
	}{
		"a metadata service":   {"http://169.254.169.254", func(*Settings) {}},
		"a denied address":     {u.URL(), func(s *Settings) { s.Host.Egress = &Egress{Deny: []string{"127.0.0.0/8"}} }},
		"an unspecified one":   {"http://0.0.0.0:1", func(*Settings) {}},
		"loopback by its name": {"http://erp.example.com:" + u.URL()[strings.LastIndex(u.URL(), ":")+1:], func(*Settings) {}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newRig(t, c.url, quick(retryOff, c.edit)).call("POST", "/", "{}")
			p, ok := a.err.(*problem.Problem)
			if !ok || p.ProxyError != "destination_ip_prohibited" || a.x.Attempts[0].Sent || a.x.Unknown {
				t.Errorf("got %v", a.err)
			}
		})
	}
	if u.Conns() != 0 {
		t.Errorf("%d connections", u.Conns())
	}
}

// A name server that gives a good address first and another as soon as the name was trusted (DNS rebinding).
func TestANameThatIsPointedElsewhereIsNotFollowed(t *testing.T) {
	u := upstream.Script(t, upstream.CloseAfter(upstream.OK("hello")))
	port := u.URL()[strings.LastIndex(u.URL(), ":"):]
	loopback := netip.MustParseAddr("127.0.0.1")
	t.Run("to a metadata service", func(t *testing.T) {
		resolve(t, loopback, netip.MustParseAddr("169.254.169.254"))
		r := newRig(t, "http://erp.localhost"+port, quick(retryOff))
		if a := r.call("GET", "/", ""); a.err != nil || a.body != "hello" {
			t.Fatalf("the good address: %+v", a)
		}
		wantProhibited(t, r.call("GET", "/", ""), "169.254.169.254 is a link-local address")
	})
	t.Run("to this machine", func(t *testing.T) {
		resolve(t, netip.MustParseAddr("192.0.2.1"), loopback)
		r := newRig(t, "http://erp.example.com"+port, quick(func(s *Settings) {
			s.Timeout.Connect = units.Duration(20 * time.Millisecond) // nobody is there
			s.Retry.MaxRetries = 3
		}))
		a := r.call("GET", "/", "")
		wantProhibited(t, a, "127.0.0.1 is a loopback address")
		if len(a.x.Attempts) != 2 {
			t.Errorf("%d attempts: the refused one must be the last", len(a.x.Attempts))
		}
	})
	if u.Hits() != 1 {
		t.Errorf("%d calls arrived", u.Hits())
	}
}

// wantProhibited proves that a call ended at the guard, told the application no address, and the log which.
func wantProhibited(t *testing.T, a answer, cause string) {
	t.Helper()
	p, ok := a.err.(*problem.Problem)
	if !ok || p.Kind != problem.UpstreamUnreachable || p.ProxyError != "destination_ip_prohibited" || p.Retryable() || a.x.Unknown {
		t.Fatalf("got %v", a.err)
	}
	if !strings.Contains(p.Error(), cause) || !strings.Contains(p.Detail, "not allowed") || strings.ContainsAny(p.Detail, "0123456789") {
		t.Errorf("the log: %v\nthe application: %s", p, p.Detail)
	}
}

// resolve makes every name of this process resolve to addr, and to next from the second time on, as a hostile name
// server would.
func resolve(t *testing.T, addr netip.Addr, next ...netip.Addr) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	var asked atomic.Int32
	choose := func() netip.Addr {
		return append([]netip.Addr{addr}, next...)[min(int(asked.Add(1))-1, len(next))]
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go answerOnce(there, choose)
		return here, nil
	}}
}

// answerOnce reads one query over a stream and answers it (RFC 1035 section 4).
func answerOnce(conn net.Conn, choose func() netip.Addr) {
	defer func() { _ = conn.Close() }()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	end := 12
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root label, type and class
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
	if query[end-3] == 1 { // type A
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, choose().AsSlice()...)
	}
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}
