// Package egress says which addresses may be dialled. Names are resolved by the dialler, so an address is judged at the
// moment it is connected to: a name that is pointed somewhere else after it was looked at (DNS rebinding) gains nothing.
package egress

import (
	"encoding/binary"
	"net/netip"
)

// never are the addresses that nothing the configuration names may lead to, by what they are: those that mean no host,
// link-local ones, and the metadata services of clouds, which hand out credentials to whoever asks from inside.
var never = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), unspecified}, // Linux takes 0.0.0.0 for this machine
	{netip.MustParsePrefix("::/128"), unspecified},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"}, // 169.254.169.254 and 169.254.170.2 of most clouds
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata},          // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata},       // Google
	{netip.MustParsePrefix("100.100.100.200/32"), metadata},     // Alibaba
	{netip.MustParsePrefix("fd00:100::100:200/128"), metadata},  // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},       // Azure, beside 169.254.169.254
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},         // Oracle
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), metadata}, // Oracle
	{netip.MustParsePrefix("fd00:42::42/128"), metadata},        // Scaleway
}

const (
	unspecified = "an address of no host"
	metadata    = "a cloud's metadata address"
)

// Forbidden says why an address is never dialled; "" when it may be.
func Forbidden(addr netip.Addr) string {
	for _, a := range meanings(addr) {
		for _, n := range never {
			if n.prefix.Contains(a) {
				return n.what
			}
		}
	}
	return ""
}

// isLoopback reports whether an address leads to this machine by loopback, also through a translator.
func isLoopback(addr netip.Addr) bool {
	for _, a := range meanings(addr) {
		if a.IsLoopback() {
			return true
		}
	}
	return false
}

// nat64 are the prefixes under which a translator of the network reaches IPv4 hosts (RFC 6052, RFC 8215).
var nat64 = []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48")}

var (
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	compatible = netip.MustParsePrefix("::/96")
	stateless  = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
)

// meanings are the address itself, without its zone, and the IPv4 address that it stands for, if it does.
func meanings(addr netip.Addr) []netip.Addr {
	addr = addr.Unmap().WithZone("")
	out := []netip.Addr{addr}
	if v4, ok := translated(addr); ok {
		return append(out, v4)
	}
	if addr.Is4() {
		return out
	}
	b := addr.As16()
	switch {
	case stateless.Contains(addr):
		out = append(out, netip.AddrFrom4([4]byte(b[12:])))
	case sixToFour.Contains(addr):
		out = append(out, netip.AddrFrom4([4]byte(b[2:6])))
	case teredo.Contains(addr): // RFC 4380: the client's address, inverted
		out = append(out, fromUint32(^binary.BigEndian.Uint32(b[12:])))
	case compatible.Contains(addr) && addr != netip.IPv6Loopback() && addr != netip.IPv6Unspecified():
		out = append(out, netip.AddrFrom4([4]byte(b[12:])))
	}
	return out
}

// translated is the IPv4 address behind one of NAT64, which is how a pod without IPv4 reaches an ordinary host.
func translated(addr netip.Addr) (netip.Addr, bool) {
	for _, p := range nat64 {
		if p.Contains(addr) {
			b := addr.As16()
			return netip.AddrFrom4([4]byte(b[12:])), true
		}
	}
	return netip.Addr{}, false
}

func fromUint32(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}
