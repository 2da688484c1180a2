package proxy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// outcomeBegun is the outcome of a replay that is under way, or was cut off by the end of the process.
const outcomeBegun = "begun"

// wasCutOff reports whether the last replay of a letter has no outcome: it may have taken effect.
func wasCutOff(l *dlq.Letter) bool {
	i := lastReplay(l)
	return i >= 0 && l.Audit[i].Outcome == outcomeBegun
}

// lastReplay is the place of the last replay in a letter's audit; -1 when there was none.
func lastReplay(l *dlq.Letter) int {
	for i, row := range slices.Backward(l.Audit) {
		if row.Action == dlq.ActionReplay {
			return i
		}
	}
	return -1
}

// begin notes that the letter is about to be sent. A provider that drops duplicates makes that unnecessary.
func (r *resend) begin(ctx context.Context) error {
	if r.honoured() {
		return nil
	}
	r.note(dlq.ActionReplay, outcomeBegun)
	if err := r.write(ctx, nil); err != nil {
		return fmt.Errorf("nothing was sent, because the letter could not be updated: %w", err)
	}
	return nil
}

// note adds a row to what is going to be written on the letter.
func (r *resend) note(action, outcome string) {
	r.audit = append(r.audit, dlq.Audit{Time: time.Now(), Who: r.options.Who, Action: action, Outcome: outcome, Run: r.options.Run,
		Forced: r.options.Force && action == dlq.ActionReplay})
}

// write puts what was noted on the letter, and edits it further.
func (r *resend) write(ctx context.Context, edit func(*dlq.Letter)) error {
	err := r.server.deps.Letters.Update(context.WithoutCancel(ctx), r.letter.ID, func(l *dlq.Letter) error {
		l.Audit = append(l.Audit, r.audit...)
		if edit != nil {
			edit(l)
		}
		return nil
	})
	if err == nil {
		r.audit = nil
	}
	return err
}

// refuse writes on the letter why it was not sent. What the sidecar does by itself it will look at again and again, so
// that is not written.
func (r *resend) refuse(ctx context.Context, reason string) (ReplayResult, error) {
	result := refusal(r.letter.ID, reason)
	if r.options.auto {
		return result, nil
	}
	r.note(dlq.ActionReplay, outcomeOf(result))
	return result, r.write(ctx, func(l *dlq.Letter) {
		if r.unknown { // it may be known from a claim alone, or from a row that this one hides
			l.Error.Type, l.Metadata.LastAttempt = problem.TypeOutcomeUnknown, r.lastTry()
		}
	})
}

// close marks a letter as resolved that need not be sent.
func (r *resend) close(ctx context.Context, reason string) (ReplayResult, error) {
	r.letter.State = dlq.Resolved
	result := ReplayResult{ID: r.letter.ID, Result: resultResolved, Reason: reason}
	r.note(dlq.ActionReplay, outcomeOf(result))
	return result, r.write(ctx, func(l *dlq.Letter) { l.State = dlq.Resolved })
}

func outcomeOf(r ReplayResult) string {
	if r.Reason == "" {
		return r.Result
	}
	return r.Result + ": " + r.Reason
}

// judge says what came of a replay. The status is the external system's: a problem of ours has none.
func (w *resend) judge(x *policy.Exchange, resp *wire.Response, err error) ReplayResult {
	r := ReplayResult{ID: w.letter.ID, Result: resultFailed, Attempts: len(x.Attempts)}
	p, isProblem := err.(*problem.Problem)
	switch {
	case isProblem:
		r.Reason = p.Detail
		if len(x.Attempts) == 0 {
			r.Result, r.Retryable, r.Reason = resultRefused, p.Retryable(), w.unsent(p)
		}
	case err != nil:
		r.Reason = err.Error()
	case x.Replay.Stored:
		r.Result, r.Status, r.Reason = resultResolved, resp.Status, "a later call with the same key has succeeded; nothing was sent"
		if !policy.Succeeded(resp) {
			r.Result, r.Reason = resultFailed, fmt.Sprintf("a later call with the same key was answered %s; nothing was sent", answerOf(resp))
		}
	case !policy.Succeeded(resp):
		w.partial = resp.Outcome == wire.PartialFailure
		r.Status, r.Reason = resp.Status, "the external system answered "+answerOf(resp)
	default:
		r.Result, r.Status = resultReplayed, resp.Status
	}
	return r
}

// answerOf is a status, and what the body of a response that looks like a success told.
func answerOf(resp *wire.Response) string {
	if resp.Outcome == "" {
		return strconv.Itoa(resp.Status)
	}
	return fmt.Sprintf("%d, and its body tells of a %s (classify)", resp.Status, resp.Outcome)
}

// record writes the replay on its letter: who, when, what came of it.
func (r *resend) record(x *policy.Exchange, result ReplayResult) error {
	if r.options.auto && result.Retryable {
		return nil
	}
	r.note(dlq.ActionReplay, outcomeOf(result))
	if result.Retryable { // it was not sent, and nothing is wrong with it: the same run may try it again
		r.audit[len(r.audit)-1].Run = ""
	}
	r.unknown = x.Unknown || r.unknown && !r.absent
	state := stateAfter(result)
	if state != "" { // other sidecars are to hear of it also when the letter cannot be updated
		r.letter.State = state
	}
	err := r.write(x.Ctx, func(l *dlq.Letter) {
		if last := len(l.Audit) - 1; last > 0 && l.Audit[last-1].Outcome == outcomeBegun {
			l.Audit = slices.Delete(l.Audit, last-1, last)
		}
		addAttempts(l, x)
		if state != "" {
			l.State = state
		} else if r.unknown {
			l.Error.Type = problem.TypeOutcomeUnknown
		} else if r.partial {
			l.Error.Type = problem.TypePartialFailure
		}
	})
	if err != nil {
		return fmt.Errorf("replayed with result %s, but the letter could not be updated: %w", result.Result, err)
	}
	if x.Key.Scope != "" && !r.letter.State.Open() {
		if _, err := r.server.deps.Letters.ResolveScope(context.WithoutCancel(x.Ctx), x.Key.Scope, r.options.Who); err != nil {
			return fmt.Errorf("replayed, but other letters of the same key could not be resolved: %w", err)
		}
	}
	return nil
}

// stateAfter is the state in which a result leaves its letter; "" for the one it was in.
func stateAfter(r ReplayResult) dlq.State {
	switch r.Result {
	case resultReplayed:
		return dlq.Replayed
	case resultResolved:
		return dlq.Resolved
	}
	return ""
}

func addAttempts(l *dlq.Letter, x *policy.Exchange) {
	for _, a := range x.Attempts {
		a.Number = len(l.Attempts) + 1
		l.Attempts = append(l.Attempts, a)
		l.Metadata.Attempts, l.Metadata.LastAttempt = len(l.Attempts), a.Start
	}
}
