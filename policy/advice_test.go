package policy

import (
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

func TestAdviceKnowsWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		settings Settings
		method   string
		kind     problem.Kind
		by       string
		key      bool
	}{
		{Settings{}, "POST", "", "", false},
		{Settings{}, "TRACE", problem.MethodNotAllowed, "", false},
		{Settings{Call: Call{Validate: &Validate{}}}, "PUT", "", "", false},
		{Settings{Call: Call{Validate: &Validate{Methods: []string{"GET"}}}}, "PUT", problem.MethodNotAllowed, "validate.methods", false},
		{Settings{Call: Call{Idempotency: &Idempotency{Required: true}}}, "POST", "", "", true},
		{Settings{Call: Call{Idempotency: &Idempotency{Required: true}}}, "GET", "", "", false},
	} {
		a := Advise(&c.settings, c.method)
		if a.Refused != c.kind || a.RefusedBy != c.by || a.NeedsKey != c.key || (a.Attempts == 0) != (c.kind != "") {
			t.Errorf("%s with %+v: %+v", c.method, c.settings, a)
		}
	}
}
