package policy

import (
	"net/netip"

	"github.com/fsm-integrations/sidecar/internal/egress"
)

// Egress narrows the addresses that may be dialled; they are checked at dial, after the name was resolved. What is
// never dialled, whatever is written here, stands in internal/egress.
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

func newEgressGuard(host string, e *Egress) (*egress.Guard, error) {
	if e == nil {
		e = new(Egress)
	}
	return egress.New(host, e.Allow, e.Deny)
}
