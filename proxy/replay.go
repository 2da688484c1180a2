package proxy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// The results of a replay.
const (
	resultReplayed  = "replayed"
	resultResolved  = "resolved"
	resultRefused   = "refused"
	resultFailed    = "failed"
	resultWouldSend = "would-send"
)

// Replay implements Controller: it sends a letter's call again through the whole chain, with the key of then and the
// limits, breaker, secrets and signature of now, and writes what came of it on the letter. At most one replay of a
// letter runs at a time.
func (s *Server) Replay(ctx context.Context, letterID string, o ReplayOptions) (ReplayResult, error) {
	if _, running := s.replaying.LoadOrStore(letterID, struct{}{}); running { // before the letter is read: it may be closed by then
		return refusal(letterID, "it is being replayed already"), nil
	}
	defer s.replaying.Delete(letterID)
	letter, err := s.deps.Letters.Get(letterID)
	if err != nil {
		return ReplayResult{}, err
	}
	a := s.find(letter.Metadata.Adapter)
	if a == nil {
		return refusal(letterID, "its adapter "+letter.Metadata.Adapter+" is not configured"), nil
	}
	target, _ := letter.OriginalMessage.Sent()
	path, _, _ := strings.Cut(target, "?")
	chain, settings, operation := a.route(letter.OriginalMessage.Method, path)
	if reason := replayable(letter, settings, o.Force); reason != "" {
		return refusal(letterID, reason), nil
	}
	if o.DryRun {
		if reason := stopped(a.host.Breaker); reason != "" {
			return refusal(letterID, reason), nil
		}
		return ReplayResult{ID: letter.ID, Result: resultWouldSend}, nil
	}
	if !s.enter() {
		return refusal(letterID, "the sidecar is shutting down"), nil
	}
	defer s.busy.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.base, cancel)() // the end of a drain cuts replays off too
	x := s.exchangeOf(ctx, a, letter, o.Force)
	x.Operation = operation
	resp, err := chain(x)
	result := judgeReplay(x, letter, resp, err)
	resp.Close()
	return result, s.record(letter, x, result, o.Who)
}

func refusal(id, reason string) ReplayResult {
	return ReplayResult{ID: id, Result: resultRefused, Reason: reason}
}

// stopped says why a breaker would let nothing through now; "" when it would. A dry run that leaves it out promises
// what the replay does not keep.
func stopped(g *policy.Guard) string {
	switch {
	case g == nil || g.State() != policy.BreakerOpened:
		return ""
	case g.Held():
		return "the breaker is open by hand; it stays so until it is closed by hand"
	}
	return fmt.Sprintf("the breaker is open, probes in %s", units.Duration(g.Remaining().Round(time.Second)))
}

// replayable says why a letter must not be sent again; "" when it may.
func replayable(l *dlq.Letter, s *policy.Settings, force bool) string {
	if !l.State.Open() {
		return "it is " + string(l.State) + " already"
	}
	if err := l.OriginalMessage.Whole(); err != nil {
		return err.Error()
	}
	if force {
		return ""
	}
	honoured := s.Idempotency != nil && s.Idempotency.Honoured
	if l.Error.Type == problem.TypeOutcomeUnknown && !honoured {
		return "its outcome is unknown and the provider does not honour idempotency keys: it could happen twice; look at the provider first, then use --force"
	}
	if s.Idempotency != nil {
		if ttl := s.Idempotency.ProviderTTL; time.Since(l.Metadata.FirstAttempt) > ttl.D() {
			return fmt.Sprintf("it is older than the %s the provider remembers its key (provider_ttl); use --force if it did not happen", units.Duration(ttl))
		}
	}
	return ""
}

// exchangeOf makes the call again as it was, without the credentials and signatures it never kept.
func (s *Server) exchangeOf(ctx context.Context, a *adapter, l *dlq.Letter, force bool) *policy.Exchange {
	m := &l.OriginalMessage
	target, headers := m.Sent()
	x := &policy.Exchange{Ctx: ctx, Start: time.Now(), Adapter: a.identity, Target: target,
		CorrelationID: l.Metadata.CorrelationID, Replay: &policy.Replay{Letter: l, Force: force}, Patience: s.deps.Shared.Patience()}
	fields := make(wire.Fields, 0, len(headers)+6)
	for _, h := range headers {
		fields.Add(h.Name, h.Value)
	}
	if l.Metadata.TenantID != "" {
		fields.Set("X-Tenant-ID", l.Metadata.TenantID)
	}
	if l.Metadata.UserID != "" {
		fields.Set("X-User-ID", l.Metadata.UserID)
	}
	x.Request = wire.Request{Method: m.Method, Target: a.identity.Base + target, Fields: fields, Body: wire.Body{Bytes: m.Body}}
	return x
}

func judgeReplay(x *policy.Exchange, l *dlq.Letter, resp *wire.Response, err error) ReplayResult {
	r := ReplayResult{ID: l.ID, Result: resultFailed, Attempts: len(x.Attempts)}
	p, isProblem := err.(*problem.Problem)
	switch {
	case isProblem:
		r.Status, r.Reason = p.Status(), p.Detail
		if len(x.Attempts) == 0 {
			r.Result = resultRefused
		}
	case err != nil:
		r.Reason = err.Error()
	case x.Replay.Stored:
		r.Result, r.Status, r.Reason = resultResolved, resp.Status, "a later call with the same key has succeeded; nothing was sent"
		if resp.Status >= 400 {
			r.Result, r.Reason = resultFailed, fmt.Sprintf("a later call with the same key was answered %d; nothing was sent", resp.Status)
		}
	case resp.Status >= 400:
		r.Status, r.Reason = resp.Status, fmt.Sprintf("the external system answered %d", resp.Status)
	default:
		r.Result, r.Status = resultReplayed, resp.Status
	}
	return r
}

// record writes the replay on its letter: who, when, what came of it.
func (s *Server) record(l *dlq.Letter, x *policy.Exchange, r ReplayResult, who string) error {
	outcome := r.Result
	if r.Reason != "" {
		outcome += ": " + r.Reason
	}
	err := s.deps.Letters.Update(context.WithoutCancel(x.Ctx), l.ID, func(l *dlq.Letter) error {
		now := time.Now()
		l.Audit = append(l.Audit, dlq.Audit{Time: now, Who: who, Action: "replay", Outcome: outcome})
		for _, a := range x.Attempts {
			a.Number = len(l.Attempts) + 1
			l.Attempts = append(l.Attempts, a)
			l.Metadata.Attempts, l.Metadata.LastAttempt = len(l.Attempts), a.Start
		}
		if x.Unknown { // it was sent again, and now nobody knows
			l.Error.Type = problem.TypeOutcomeUnknown
		}
		switch r.Result {
		case resultReplayed:
			l.State = dlq.Replayed
		case resultResolved:
			l.State = dlq.Resolved
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replayed with result %s, but the letter could not be updated: %w", r.Result, err)
	}
	if x.Key.Scope != "" && (r.Result == resultReplayed || r.Result == resultResolved) {
		if _, err := s.deps.Letters.ResolveScope(context.WithoutCancel(x.Ctx), x.Key.Scope, who); err != nil {
			return fmt.Errorf("replayed, but other letters of the same key could not be resolved: %w", err)
		}
	}
	return nil
}
