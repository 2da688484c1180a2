package alert

import (
	"fmt"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Severity is how much it matters (specification: alert interface).
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// severity is of the kind alone: it is a label, and an alert that changed its labels would be another one.
func (g Group) severity() Severity {
	if g.Kind == LettersLost {
		return Critical
	}
	return Warning
}

// message is what people read.
type message struct {
	title, description string
	look, replay       string // commands; "" when there is nothing to do
	runbook            string // what to do; "" when there is nothing
}

func (m message) annotations() map[string]string {
	return filled(map[string]string{"title": m.title, "description": m.description, "look": m.look, "replay": m.replay, "runbook": m.runbook})
}

// text is what is told of n; of what is over, only that.
func (c Config) text(n notice) message {
	m, over := c.openText(n.group)
	if n.status == resolved {
		return message{title: m.title, description: over}
	}
	return m
}

// openText returns what is told while g is open, and the description when it is over.
func (c Config) openText(g Group) (m message, over string) {
	switch g.Kind {
	case LettersLost:
		return c.lostText(g), "No letter was lost lately."
	case BreakerOpen:
		return c.breakerText(g), "The circuit breaker of " + g.Adapter + " is no longer open."
	default:
		return c.lettersText(g), fmt.Sprintf("No letter of %s (%s) waits any more.", g.Adapter, g.ErrorType)
	}
}

func (c Config) lettersText(g Group) message {
	chosen := fmt.Sprintf(" --adapter %s --error-type %s", g.Adapter, g.ErrorType)
	m := message{
		title: fmt.Sprintf("Letters of %s: %s", g.Adapter, g.ErrorType),
		look:  c.command("dlq list" + chosen), replay: c.command("dlq replay" + chosen + " --dry-run"),
		runbook: "Find out with the provider what failed. When it is well again, replay; without --dry-run the letters are sent. " + c.where(),
	}
	if g.ErrorType == problem.TypeOutcomeUnknown {
		m.runbook = "The provider may have acted on these calls: ask it before you replay. " + c.where()
	}
	m.description = fmt.Sprintf("Waiting: %s of %s (%s)", letters(g.Open), g.Adapter, g.ErrorType)
	if !g.Oldest.IsZero() {
		m.description += ", the oldest since " + g.Oldest.UTC().Format(time.RFC3339)
	}
	m.description += "."
	return m
}

func (c Config) lostText(g Group) message {
	m := message{
		title: "Letters are lost", look: c.command("status"),
		runbook: "Make room: replay or discard letters, raise dlq.max_bytes, look at the volume behind dlq.dir. Only the applications still know of the calls that were lost. " + c.where(),
	}
	if g.Adapter != "" {
		m.title += " of " + g.Adapter
	}
	m.description = letters(g.Lost) + " could not be kept" + because(g.Why) + "."
	return m
}

func (c Config) breakerText(g Group) message {
	m := message{
		title: "Calls to " + g.Adapter + " are stopped", look: c.command("status"),
		runbook: "Ask the provider. The breaker probes by itself; `sidecar breaker close " + g.Adapter + "` lets calls through at once. " + c.where(),
	}
	m.description = "The circuit breaker of " + g.Adapter + " is open" + because(g.Why) + "; calls are answered at once with 503."
	return m
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func letters(n int) string {
	if n == 1 {
		return "1 letter"
	}
	return fmt.Sprintf("%d letters", n)
}

// defaultAdmin is where the commands look by themselves (contract section 2).
const defaultAdmin = "127.0.0.1:9901"

func (c Config) command(rest string) string {
	if c.Admin == "" || c.Admin == defaultAdmin {
		return "sidecar " + rest
	}
	return "sidecar " + rest + " --admin " + c.Admin
}

// where says on which machine the commands reach the sidecar.
func (c Config) where() string {
	if c.Instance == "" {
		return "Run the commands beside the sidecar."
	}
	return "Run the commands on " + c.Instance + ", in the sidecar's container."
}
