package alert

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Kind is what an alert is about, and the alertname of its labels.
type Kind string

// The kinds of alerts.
const (
	Letters     Kind = "IntegrationLetters"     // letters wait for somebody
	LettersLost Kind = "IntegrationLettersLost" // letters could not be kept
	BreakerOpen Kind = "IntegrationBreakerOpen" // calls to an adapter are stopped
)

// Group is what one alert tells of: all that is open of one kind, adapter and error type.
type Group struct {
	Kind      Kind              // "" is Letters
	AdapterID string            // label; "" for letters lost by the spool as a whole
	Adapter   string            // name in the configuration, for the commands; "" takes AdapterID
	ErrorType problem.ErrorType // of Letters
	Open      int               // letters that wait
	Oldest    time.Time         // when the first of them was written; zero: not told
	// Lost counts letters that could not be kept. Since a loss is over as soon as it happened, the source decides how
	// long it is told of: while the spool fails, and for a while after the last loss.
	Lost int
	Why  string // of LettersLost and BreakerOpen: the cause, without path or secret; "" is not told
}

// key identifies a group: only what is a label counts.
type key struct {
	kind      Kind
	adapterID string
	errorType problem.ErrorType
}

func (g Group) key() key { return key{g.Kind, g.AdapterID, g.ErrorType} }

// normal fills in what was left out, and empties what is not of the kind.
func (g Group) normal() Group {
	if g.Kind == "" {
		g.Kind = Letters
	}
	if g.Kind != Letters {
		g.ErrorType = problem.TypeNone
	}
	if g.Adapter == "" {
		g.Adapter = g.AdapterID
	}
	return g
}
