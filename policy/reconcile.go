package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/units"
)

// Reconcile is how the provider is asked whether a call of unknown outcome took effect, before its letter is replayed.
type Reconcile struct {
	Method         string         `yaml:"method" default:"GET" enum:"GET,HEAD" doc:"Method of the lookup."`
	Path           string         `yaml:"path" required:"true" doc:"Path and query of the lookup, below the adapter, with {key}, {body:/json/pointer}, {query:name} and {header:Name} of the call."`
	AppliedWhen    string         `yaml:"applied_when" default:"status 200" pattern:"^status ([234][0-9][0-9]|[234]xx)$" doc:"Answer that proves the call took effect: status 200, or status 2xx."`
	NotAppliedWhen string         `yaml:"not_applied_when" default:"status 404" pattern:"^status ([234][0-9][0-9]|[234]xx)$" doc:"Answer that proves it did not. Any other answer proves nothing."`
	Settle         units.Duration `yaml:"settle" default:"1m" min:"0s" max:"24h" doc:"How long after the last attempt the provider may still be at it: until then not_applied_when proves nothing."`
}

// noProof are the statuses that say nothing about a call, whatever the provider means by them.
var noProof = [...]int{401, 403, 407, 408, 425, 429}

func (c *Reconcile) check(r Report) {
	if _, err := parseLookup(c.Path); c.Path != "" && err != nil {
		r.Fault("reconcile.path", err.Error())
	}
	for status := 200; status < 500; status++ {
		if matchesStatus(c.AppliedWhen, status) && matchesStatus(c.NotAppliedWhen, status) {
			r.Fault("reconcile.not_applied_when", fmt.Sprintf("status %d would prove both that the call took effect and that it did not", status))
			break
		}
	}
	for path, when := range map[string]string{"reconcile.applied_when": c.AppliedWhen, "reconcile.not_applied_when": c.NotAppliedWhen} {
		for _, status := range noProof {
			if when == "status "+strconv.Itoa(status) {
				r.Fault(path, fmt.Sprintf("%d is about the lookup itself and proves nothing of the call", status))
			}
		}
	}
}

// A Finding is what a lookup proved.
type Finding uint8

// The findings of a lookup.
const (
	Undecided Finding = iota // nothing
	Applied                  // the call took effect
	Absent                   // it did not
)

// String is unknown, applied or not applied.
func (f Finding) String() string { return [...]string{"unknown", "applied", "not applied"}[f] }

// Judge says what a status of the lookup proves of a letter whose last attempt was at last, and why it proves nothing.
func (c *Reconcile) Judge(status int, last, now time.Time) (found Finding, why string) {
	switch {
	case slices.Contains(noProof[:], status):
		return Undecided, "that is about the lookup itself"
	case matchesStatus(c.AppliedWhen, status):
		return Applied, ""
	case !matchesStatus(c.NotAppliedWhen, status):
		return Undecided, "that is neither applied_when nor not_applied_when"
	case now.Sub(last) < c.Settle.D():
		return Undecided, "the last attempt is less than " + c.Settle.String() + " ago (reconcile.settle), so the call may still take effect"
	}
	return Absent, ""
}

// matchesStatus compares a status with status 200, or status 2xx.
func matchesStatus(when string, status int) bool {
	text, code := strings.TrimPrefix(when, "status "), strconv.Itoa(status)
	return text == code || strings.HasSuffix(text, "xx") && len(text) == 3 && text[0] == code[0]
}
