package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
)

// ErrDenied is the error of a dial to nothing but addresses that must not be called. Another try cannot help.
var ErrDenied = errors.New("the address is not allowed")

// errMixed is the error of a dial to a name of which some addresses must not be called and the others did not answer.
var errMixed = errors.New("some addresses of this name are not allowed, and the others cannot be connected to")

// Guard judges the addresses of one external system.
type Guard struct {
	allow, deny []netip.Prefix
	loopback    bool
}

// New returns the guard of a host as it is written in the configuration: loopback may be dialled only when that is what
// is written. allow (empty: everything) and deny are CIDRs that narrow it further.
func New(host string, allow, deny []string) (*Guard, error) {
	g := &Guard{loopback: IsLoopback(host)}
	var err error
	if g.allow, err = prefixes(allow); err != nil {
		return nil, err
	}
	g.deny, err = prefixes(deny)
	return g, err
}

// IsLoopback reports whether a host is written as this host itself.
func IsLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return isLoopback(addr)
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func prefixes(cidrs []string) ([]netip.Prefix, error) {
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

// Refuses says why an address is not dialled; "" when it is.
func (g *Guard) Refuses(addr netip.Addr) string {
	if why := Forbidden(addr); why != "" {
		return why
	}
	if isLoopback(addr) && !g.loopback {
		return "a loopback address, and the upstream is not written as one"
	}
	for _, a := range meanings(addr) {
		if inAny(g.deny, a) {
			return "in egress.deny"
		}
	}
	addr = addr.Unmap().WithZone("")
	v4, _ := translated(addr)
	if len(g.allow) > 0 && !inAny(g.allow, addr) && !inAny(g.allow, v4) {
		return "not in egress.allow"
	}
	return ""
}

func inAny(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Dial connects through d, which must not have a control function of its own. A name of which some addresses are refused
// is dialled at the others.
func (g *Guard) Dial(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
	var allowed atomic.Bool // two addresses are tried at the same time
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		err := judge(address, g.Refuses)
		if err == nil {
			allowed.Store(true)
		}
		return err
	}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil && allowed.Load() && errors.Is(err, ErrDenied) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errMixed}
	}
	return conn, err
}

// Control is the control function of a dialler that is made elsewhere.
func (g *Guard) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	return judge(address, g.Refuses)
}

// judge reads an address as a dialler hands it to its control function.
func judge(address string, refuses func(netip.Addr) string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: it cannot be read", ErrDenied)
	}
	if why := refuses(to.Addr()); why != "" {
		return fmt.Errorf("%w: %s is %s", ErrDenied, to.Addr(), why)
	}
	return nil
}

// Control is the control function of a dialler for what is not an adapter but named in the configuration all the same,
// such as a webhook or a token endpoint: it refuses only what is Forbidden.
func Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	return judge(address, Forbidden)
}
