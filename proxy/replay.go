package proxy

import (
	"context"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// The results of a replay.
const (
	resultReplayed     = "replayed"
	resultResolved     = "resolved"
	resultRefused      = "refused"
	resultFailed       = "failed"
	resultWouldSend    = "would-send"
	resultWouldResolve = "would-resolve" // another sidecar has sent it: nothing would be sent
)

// Replay implements Controller: it sends a letter's call again through the whole chain, with the key of then and the
// limits, breaker, secrets and signature of now, and writes what came of it on the letter. At most one replay of a
// letter runs at a time: in this process, and with Redis in all sidecars of the application.
func (s *Server) Replay(ctx context.Context, letterID string, o ReplayOptions) (ReplayResult, error) {
	if _, running := s.replaying.LoadOrStore(letterID, struct{}{}); running { // before the letter is read: it may be closed by then
		return later(letterID, "it is being replayed already"), nil
	}
	defer s.replaying.Delete(letterID)
	letter, err := s.deps.Letters.Get(letterID)
	if err != nil {
		return ReplayResult{}, err
	}
	if o.DryRun {
		return s.DryRun(ctx, letter, o), nil
	}
	if o.Run != "" && letter.TriedIn(o.Run) { // by another command of the same run, since the letters were chosen
		return later(letterID, "it was tried in this run already"), nil
	}
	if !s.enter() {
		return later(letterID, "the sidecar is shutting down"), nil
	}
	defer s.busy.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.base, cancel)() // the end of a drain cuts replays off too
	return s.resend(letter, o).run(ctx)
}

// DryRun implements Controller. The provider is not asked, other sidecars are, within the budget of Redis.
func (s *Server) DryRun(ctx context.Context, letter *dlq.Letter, o ReplayOptions) ReplayResult {
	r := s.resend(letter, o)
	if reason := r.impossible(); reason != "" {
		return refusal(letter.ID, reason)
	}
	stands, remark := r.look(ctx)
	if stands != nil {
		return *stands
	}
	result := ReplayResult{ID: letter.ID, Result: resultWouldSend, Reason: remark}
	if r.asks() {
		result.Reason = "if the provider, asked first, does not have it (reconcile)"
	} else if reason := r.unsafe(); reason != "" {
		return refusal(letter.ID, reason)
	}
	if reason := stopped(r.adapter.host.Breaker); reason != "" {
		return later(letter.ID, reason)
	}
	return result
}

// refusal is the result for a letter that must not be sent.
func refusal(id, reason string) ReplayResult {
	return ReplayResult{ID: id, Result: resultRefused, Reason: reason}
}

// later is the result for a letter that cannot be sent just now, with which nothing is wrong.
func later(id, reason string) ReplayResult {
	return ReplayResult{ID: id, Result: resultRefused, Reason: reason, Retryable: true}
}

// A resend is one replay under way.
type resend struct {
	server    *Server
	options   ReplayOptions
	letter    *dlq.Letter
	adapter   *adapter // nil: not configured any more
	chain     policy.Next
	settings  *policy.Settings
	operation string

	unknown bool        // nobody knows whether the letter's call has taken effect
	partial bool        // sending it again took effect in part
	absent  bool        // the provider was asked, and it has not
	tried   time.Time   // when another sidecar tried it; zero when none is known to have
	audit   []dlq.Audit // what was done before it was sent
}

func (s *Server) resend(letter *dlq.Letter, o ReplayOptions) *resend {
	r := &resend{server: s, options: o, letter: letter, adapter: s.find(letter.Metadata.Adapter)}
	r.unknown = letter.Error.Type == problem.TypeOutcomeUnknown || wasCutOff(letter)
	if r.adapter != nil {
		target, _ := letter.OriginalMessage.Sent()
		path, _, _ := strings.Cut(target, "?")
		r.chain, r.settings, r.operation = r.adapter.route(letter.OriginalMessage.Method, path)
	}
	return r
}

// run sends the letter if it may be sent.
func (r *resend) run(ctx context.Context) (ReplayResult, error) {
	if !r.letter.State.Open() {
		return refusal(r.letter.ID, r.impossible()), nil
	}
	if reason := r.impossible(); reason != "" {
		return r.refuse(ctx, reason)
	}
	claim, why := r.server.claim(ctx, r.letter.ID, r.options.Force)
	if why != "" {
		return later(r.letter.ID, why), nil
	}
	defer func() { claim.end(r.mark()) }()
	if made := claim.mark.Text; made == resultReplayed || made == resultResolved {
		return r.close(ctx, "another sidecar has "+made+" it")
	}
	r.heed(claim.mark)
	passing := false
	if r.asks() {
		var found policy.Finding
		if found, passing = r.lookUp(ctx); found == policy.Applied {
			return r.close(ctx, "the provider has it already, so nothing was sent (reconcile)")
		}
	}
	if reason := r.unsafe(); reason != "" && passing {
		return later(r.letter.ID, reason+"; the lookup (reconcile) proves nothing yet"), r.write(ctx, nil)
	} else if reason != "" {
		return r.refuse(ctx, reason)
	}
	return r.send(ctx)
}

// send passes the call through the chain and writes what came of it on the letter.
func (r *resend) send(ctx context.Context) (ReplayResult, error) {
	if err := r.begin(ctx); err != nil {
		return ReplayResult{}, err
	}
	x := r.exchange(ctx)
	resp, err := r.chain(x)
	result := r.judge(x, resp, err)
	resp.Close()
	return result, r.record(x, result)
}

// exchange makes the call again as it was, without the credentials and signatures it never kept.
func (r *resend) exchange(ctx context.Context) *policy.Exchange {
	m := &r.letter.OriginalMessage
	target, headers := m.Sent()
	fields := make(wire.Fields, 0, len(headers)+6)
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "Content-Length") && !strings.EqualFold(h.Name, "Expect") { // framing is made anew
			fields.Add(h.Name, h.Value)
		}
	}
	x := r.exchangeOf(ctx, m.Method, target, fields.EndToEnd())
	x.Operation, x.Request.Body = r.operation, wire.Body{Bytes: m.Body}
	return x
}

// exchangeOf makes an exchange on behalf of the letter.
func (r *resend) exchangeOf(ctx context.Context, method, target string, fields wire.Fields) *policy.Exchange {
	l, id := r.letter, r.adapter.identity
	if l.Metadata.TenantID != "" {
		fields.Set("X-Tenant-ID", l.Metadata.TenantID)
	}
	if l.Metadata.UserID != "" {
		fields.Set("X-User-ID", l.Metadata.UserID)
	}
	return &policy.Exchange{Ctx: ctx, Start: time.Now(), Adapter: id, Target: target, CorrelationID: l.Metadata.CorrelationID,
		Request: wire.Request{Method: method, Target: id.Base + target, Fields: fields}, Patience: r.server.deps.Shared.Patience(),
		Replay: &policy.Replay{Letter: l, Force: r.options.Force, Absent: r.absent}}
}
