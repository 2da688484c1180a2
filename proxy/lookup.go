package proxy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/policy"
)

// actionReconcile is the action of a lookup in a letter's audit.
const actionReconcile = "reconcile"

// lookUp asks the provider whether the letter's call has taken effect, through the chain that any such call passes, and
// notes what it said. passing tells that a later lookup may prove what this one did not.
func (r *resend) lookUp(ctx context.Context) (found policy.Finding, passing bool) {
	found, why, passing := r.ask(ctx)
	r.absent = found == policy.Absent
	r.note(actionReconcile, found.String()+": "+why)
	return found, passing
}

// lastTry is when the call was last sent, as far as anybody knows.
func (r *resend) lastTry() time.Time {
	last := r.letter.Metadata.LastAttempt
	if wasCutOff(r.letter) {
		last = r.letter.Audit[lastReplay(r.letter)].Time
	}
	if r.tried.After(last) {
		last = r.tried
	}
	return last
}

func (r *resend) ask(ctx context.Context) (found policy.Finding, why string, passing bool) {
	c := r.settings.Reconcile
	target, err := c.Target(r.letter)
	if err != nil {
		return policy.Undecided, err.Error(), false
	}
	path, _, _ := strings.Cut(target, "?")
	chain, _, operation := r.adapter.route(c.Method, path)
	x := r.exchangeOf(ctx, c.Method, target, nil)
	x.Operation = operation
	resp, err := chain(x)
	defer resp.Close()
	asked := c.Method + " " + path
	if p, ok := err.(*problem.Problem); ok {
		return policy.Undecided, asked + " was not answered: " + p.Detail, p.Retryable() && len(x.Attempts) == 0
	} else if err != nil {
		return policy.Undecided, asked + " was not answered: " + err.Error(), false
	}
	now := time.Now()
	found, why = c.Judge(resp.Status, r.lastTry(), now)
	asked = fmt.Sprintf("%s answered %d", asked, resp.Status)
	if why != "" {
		asked += "; " + why
	}
	return found, asked, found == policy.Undecided && now.Sub(r.lastTry()) < c.Settle.D()
}
