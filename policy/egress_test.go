package policy

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

func TestWhichAddressesMayBeDialled(t *testing.T) {
	none, in10 := &Egress{}, &Egress{Allow: []string{"10.0.0.0/8"}}
	for _, c := range []struct {
		host   string
		egress *Egress
		addr   string
		want   bool
	}{
		{"erp.example.com", nil, "203.0.113.7", true},
		{"erp.example.com", none, "10.1.2.3", true},
		{"erp.example.com", none, "2001:db8::1", true},
		{"erp.example.com", none, "127.0.0.1", false},
		{"erp.example.com", none, "127.9.9.9", false},
		{"erp.example.com", none, "::1", false},
		{"erp.example.com", none, "::ffff:127.0.0.1", false},
		{"erp.example.com", none, "0.0.0.0", false},
		{"erp.example.com", none, "::", false},
		{"erp.example.com", none, "224.0.0.1", false},
		{"erp.example.com", none, "ff02::1", false},
		{"erp.example.com", none, "169.254.169.254", false},
		{"erp.example.com", none, "::ffff:169.254.169.254", false},
		{"erp.example.com", none, "169.254.1.1", false},
		{"erp.example.com", none, "fe80::1", false},
		{"erp.example.com", none, "fd00:ec2::254", false},
		{"erp.example.com", none, "fd20:ce::254", false},
		{"erp.example.com", none, "100.100.100.200", false},
		{"erp.example.com", &Egress{Allow: []string{"169.254.0.0/16"}}, "169.254.169.254", false},
		{"169.254.169.254", none, "169.254.169.254", false},
		{"localhost", none, "127.0.0.1", true},
		{"erp.localhost", none, "::1", true},
		{"127.0.0.1", none, "127.0.0.1", true},
		{"::1", none, "::1", true},
		{"10.0.0.1", none, "127.0.0.1", false},
		{"notlocalhost", none, "127.0.0.1", false},
		{"localhost.evil.com", none, "127.0.0.1", false},
		{"erp.example.com", in10, "10.255.0.1", true},
		{"erp.example.com", in10, "11.0.0.1", false},
		{"erp.example.com", &Egress{Allow: []string{"10.0.0.0/8"}, Deny: []string{"10.1.0.0/16"}}, "10.1.0.1", false},
		{"erp.example.com", &Egress{Deny: []string{"10.1.2.3/16"}}, "10.1.9.9", false},
		{"localhost", &Egress{Deny: []string{"127.0.0.0/8"}}, "127.0.0.1", false},
	} {
		g, err := newEgressGuard(c.host, c.egress)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.control(t.Context(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(c.addr), 443).String(), nil) == nil; got != c.want {
			t.Errorf("%s to %s with %+v: %v, want %v", c.host, c.addr, c.egress, got, c.want)
		}
	}
	g, _ := newEgressGuard("erp.example.com", nil)
	for _, address := range []string{"", "not an address", "[fe80::1%eth0]:443"} {
		if g.control(t.Context(), "tcp", address, nil) == nil {
			t.Errorf("%q may be dialled", address)
		}
	}
}

func TestAProhibitedAddressIsNotDialled(t *testing.T) {
	resolveAll(t, netip.MustParseAddr("127.0.0.1"))
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

// resolveAll makes every name of this process resolve to addr, as a hostile name server would.
func resolveAll(t *testing.T, addr netip.Addr) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go answerOnce(there, addr)
		return here, nil
	}}
}

// answerOnce reads one query over a stream and answers it (RFC 1035 section 4).
func answerOnce(conn net.Conn, addr netip.Addr) {
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
		answer = append(answer, addr.AsSlice()...)
	}
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}
