package dlq

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Filter chooses letters; a zero field chooses all.
type Filter struct {
	Application string // whose sidecar kept them
	Adapter     string // name or id
	ErrorType   problem.ErrorType
	Since       time.Time // created at or after
	Until       time.Time // created before
	Tenant      string
	Key         string
	Operation   string // as configured: POST /orders
	States      []State
	Tried       string // chooses letters that were tried in the replay run of this name
	Untried     string // chooses letters that were not
}

// Matches reports whether l is chosen.
func (f Filter) Matches(l *Letter) bool {
	m := &l.Metadata
	switch {
	case f.Application != "" && f.Application != m.Application,
		f.Adapter != "" && f.Adapter != m.AdapterID && f.Adapter != m.Adapter,
		f.ErrorType != "" && f.ErrorType != l.Error.Type,
		!f.Since.IsZero() && m.Created.Before(f.Since),
		!f.Until.IsZero() && !m.Created.Before(f.Until),
		f.Tenant != "" && f.Tenant != m.TenantID,
		f.Key != "" && f.Key != m.IdempotencyKey,
		f.Operation != "" && f.Operation != l.OriginalMessage.Operation,
		f.Tried != "" && !l.TriedIn(f.Tried),
		f.Untried != "" && l.TriedIn(f.Untried):
		return false
	}
	if len(f.States) == 0 {
		return true
	}
	for _, s := range f.States {
		if s == l.State {
			return true
		}
	}
	return false
}
