package policy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
)

// Egress narrows the addresses that may be dialled; they are checked at dial, after the name was resolved.
type Egress struct {
	Allow []string `yaml:"allow" doc:"CIDRs that may be dialled; empty: all that are not denied."`
	Deny  []string `yaml:"deny" doc:"CIDRs that may not be dialled."`
}

func (e *Egress) check(r Report) {
	for path, list := range map[string][]string{"egress.allow": e.Allow, "egress.deny": e.Deny} {
		for _, cidr := range list {
			if _, err := netip.ParsePrefix(cidr); err != nil {
				r.Fault(path, cidr+" is not a CIDR, such as 10.0.0.0/8")
			}
		}
	}
}

// errEgressDenied is the dial error of an address that must not be called.
var errEgressDenied = errors.New("the address is not allowed for this adapter")

// forbidden are refused always: link-local addresses, and the metadata services of clouds, which hand out credentials
// to whoever asks from inside (169.254.169.254 is link-local already).
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fd00:ec2::254/128"), netip.MustParsePrefix("fd20:ce::254/128"), netip.MustParsePrefix("100.100.100.200/32"),
}

// egressGuard checks each address at dial, when the name is resolved already, so that a name cannot be pointed
// somewhere else after it was checked.
type egressGuard struct {
	allow, deny []netip.Prefix
	loopback    bool // the upstream is written as localhost or a loopback address
}

func newEgressGuard(host string, e *Egress) (*egressGuard, error) {
	g := &egressGuard{loopback: isLoopback(host)}
	if e == nil {
		return g, nil
	}
	var err error
	if g.allow, err = parsePrefixes(e.Allow); err != nil {
		return nil, err
	}
	g.deny, err = parsePrefixes(e.Deny)
	return g, err
}

// isLoopback reports whether a host is written as this host itself.
func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func parsePrefixes(cidrs []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, cidr := range cidrs {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, err
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// control is called by the dialer with the address it is about to connect to.
func (g *egressGuard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(to.Addr().Unmap().WithZone("")) {
		return errEgressDenied
	}
	return nil
}

func (g *egressGuard) allows(addr netip.Addr) bool {
	if inAny(forbidden, addr) || addr.IsMulticast() || addr.IsUnspecified() || addr.IsLoopback() && !g.loopback || inAny(g.deny, addr) {
		return false
	}
	return len(g.allow) == 0 || inAny(g.allow, addr)
}

func inAny(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
