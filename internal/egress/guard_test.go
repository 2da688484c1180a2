package egress

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestWhichAddressesMayBeDialled(t *testing.T) {
	in10, all := []string{"10.0.0.0/8"}, []string{"0.0.0.0/0", "::/0"}
	for _, c := range []struct {
		host        string
		allow, deny []string
		addr        string
		want        bool
	}{
		{"erp.example.com", nil, nil, "203.0.113.7", true},
		{"erp.example.com", nil, nil, "10.1.2.3", true}, // private networks are where systems of the house live
		{"erp.example.com", nil, nil, "fd00:ec3::1", true},
		{"erp.example.com", nil, nil, "2001:db8::1", true},
		{"erp.example.com", nil, nil, "64:ff9b::cb00:7107", true}, // a public host, from a pod without IPv4
		{"erp.example.com", nil, nil, "127.0.0.1", false},
		{"erp.example.com", nil, nil, "127.9.9.9", false},
		{"erp.example.com", nil, nil, "::1", false},
		{"erp.example.com", nil, nil, "::ffff:127.0.0.1", false},
		{"erp.example.com", nil, nil, "::127.0.0.1", false},
		{"erp.example.com", nil, nil, "64:ff9b::127.0.0.1", false},
		{"erp.example.com", nil, nil, "2002:7f00:1::", false},
		{"169.254.169.254", nil, nil, "169.254.169.254", false},
		{"erp.example.com", []string{"169.254.0.0/16"}, nil, "169.254.169.254", false},
		{"localhost", nil, nil, "127.0.0.1", true},
		{"LOCALHOST.", nil, nil, "127.0.0.1", true},
		{"erp.localhost", nil, nil, "::1", true},
		{"127.0.0.1", nil, nil, "127.0.0.1", true},
		{"::ffff:127.0.0.1", nil, nil, "127.0.0.1", true},
		{"::1", nil, nil, "::1", true},
		{"localhost", nil, nil, "169.254.169.254", false},
		{"10.0.0.1", nil, nil, "127.0.0.1", false},
		{"notlocalhost", nil, nil, "127.0.0.1", false},
		{"localhost.evil.com", nil, nil, "127.0.0.1", false},
		{"127.1", nil, nil, "127.0.0.1", false}, // spellings that some resolvers read as loopback are names here
		{"2130706433", nil, nil, "127.0.0.1", false},
		{"erp.example.com", in10, nil, "10.255.0.1", true},
		{"erp.example.com", in10, nil, "::ffff:10.255.0.1", true},
		{"erp.example.com", in10, nil, "64:ff9b::10.255.0.1", true},
		{"erp.example.com", in10, nil, "2002:0a01:0203::1", false}, // through a relay somewhere
		{"erp.example.com", in10, nil, "11.0.0.1", false},
		{"erp.example.com", in10, []string{"10.1.0.0/16"}, "10.1.0.1", false},
		{"erp.example.com", nil, []string{"10.1.2.3/16"}, "10.1.9.9", false},
		{"erp.example.com", nil, []string{"10.0.0.0/8"}, "64:ff9b::10.1.2.3", false},
		{"erp.example.com", nil, []string{"10.0.0.0/8"}, "2002:0a01:0203::1", false},
		{"erp.example.com", all, nil, "127.0.0.1", false},
		{"localhost", nil, []string{"127.0.0.0/8"}, "127.0.0.1", false},
	} {
		g, err := New(c.host, c.allow, c.deny)
		if err != nil {
			t.Fatal(err)
		}
		if why := g.Refuses(netip.MustParseAddr(c.addr)); (why == "") != c.want {
			t.Errorf("%s to %s, allow %v, deny %v: %q", c.host, c.addr, c.allow, c.deny, why)
		}
	}
}

func TestForbiddenInEveryWriting(t *testing.T) {
	for _, text := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.1.1", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254",
		"64:ff9b:1::169.254.169.254", "2002:a9fe:a9fe::1", "2001:0:1:2:3:4:5601:5601", "fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
		"fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:100::100:200", "::ffff:0:169.254.169.254",
		"100.100.100.200", "64:ff9b::6464:64c8", "168.63.129.16", "192.0.0.192", "0.0.0.0", "0.0.0.1", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255",
	} {
		addr := netip.MustParseAddr(text)
		g, err := New(addr.WithZone("").String(), []string{"0.0.0.0/0", "::/0"}, nil) // no upstream and no allow list opens it
		if err != nil {
			t.Fatal(err)
		}
		if Forbidden(addr) == "" || g.Refuses(addr) == "" {
			t.Errorf("%s may be dialled", text)
		}
		if err := Control(t.Context(), "tcp", netip.AddrPortFrom(addr, 80).String(), nil); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"10.0.0.1", "100.100.100.201", "127.0.0.1", "::1", "203.0.113.7", "fd00::1", "2001:db8::1", "64:ff9b::8.8.8.8", "2002:808:808::1"} {
		if why := Forbidden(netip.MustParseAddr(text)); why != "" {
			t.Errorf("%s is %s", text, why)
		}
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	for _, address := range []string{"", "erp.example.com:443", "127.1:443", "0x7f000001:443", "10.0.0.1"} {
		if err := Control(t.Context(), "tcp", address, nil); !errors.Is(err, ErrDenied) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := New("erp.example.com", []string{"10.0.0.0"}, nil); err == nil {
		t.Error("an address was taken for a CIDR")
	}
}

// A hosts file stands in for a resolver that gives several addresses: localhost has one of IPv4 and often one of IPv6.
func TestANameOfSeveralAddressesIsDialledAtThoseAllowed(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, c := range []struct {
		deny   []string
		answer bool
		denied bool
	}{
		{nil, true, false},
		{[]string{"::1/128"}, true, false},
		{[]string{"::1/128", "127.0.0.0/8"}, false, true},
	} {
		g, err := New("localhost", nil, c.deny)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := g.Dial(t.Context(), net.Dialer{Resolver: fixed(t, "::1", "127.0.0.1")}, "tcp", "erp.localhost:"+port)
		if conn != nil {
			_ = conn.Close()
		}
		if (err == nil) != c.answer || errors.Is(err, ErrDenied) != c.denied {
			t.Errorf("deny %v: %v", c.deny, err)
		}
	}
	_ = listener.Close()
	g, _ := New("localhost", nil, []string{"::1/128"})
	_, err = g.Dial(t.Context(), net.Dialer{Resolver: fixed(t, "::1", "127.0.0.1")}, "tcp", "erp.localhost:"+port)
	if err == nil || errors.Is(err, ErrDenied) {
		t.Errorf("an address that is allowed did not answer, so that another try may help: %v", err)
	}
}

// TestARefusalNamesTheAddressAndTheRule is what whoever reads the log needs.
func TestARefusalNamesTheAddressAndTheRule(t *testing.T) {
	g, _ := New("erp.example.com", nil, nil)
	_, err := g.Dial(t.Context(), net.Dialer{Resolver: fixed(t, "169.254.169.254")}, "tcp", "erp.example.com:80")
	if err == nil || !strings.Contains(err.Error(), "169.254.169.254 is a link-local address") {
		t.Errorf("%v", err)
	}
}

func TestZonesAreKeptOutOfTheJudgement(t *testing.T) {
	g, _ := New("erp.example.com", nil, nil)
	if why := g.Refuses(netip.MustParseAddr("fe80::1%eth0")); why == "" {
		t.Error("a zone hides a link-local address")
	}
	if !slices.Contains(meanings(netip.MustParseAddr("64:ff9b::1.2.3.4%eth0")), netip.MustParseAddr("1.2.3.4")) {
		t.Error("a zone hides what a translator makes of an address")
	}
}
