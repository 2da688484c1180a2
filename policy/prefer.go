package policy

import (
	"strings"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

const (
	preferField  = "Prefer"
	respondAsync = "respond-async"
)

// prefersAsync reports whether the application prefers respond-async (RFC 7240 section 4.1).
func prefersAsync(fields wire.Fields) bool {
	for _, f := range fields {
		if !strings.EqualFold(f.Name, preferField) {
			continue
		}
		for item := range strings.SplitSeq(f.Value, ",") {
			if isRespondAsync(item) {
				return true
			}
		}
	}
	return false
}

// dropRespondAsync takes respond-async out of the Prefer fields: the sidecar has done it, the external system must not.
func dropRespondAsync(fields *wire.Fields) {
	kept := (*fields)[:0]
	for _, f := range *fields {
		if strings.EqualFold(f.Name, preferField) {
			var items []string
			for item := range strings.SplitSeq(f.Value, ",") {
				if !isRespondAsync(item) {
					items = append(items, item)
				}
			}
			if len(items) == 0 {
				continue
			}
			f.Value = strings.TrimSpace(strings.Join(items, ","))
		}
		kept = append(kept, f)
	}
	*fields = kept
}

// isRespondAsync reports whether one preference, which may have parameters, is respond-async. Its name has no case.
func isRespondAsync(item string) bool {
	name, _, _ := strings.Cut(item, ";")
	return strings.EqualFold(strings.TrimSpace(name), respondAsync)
}
