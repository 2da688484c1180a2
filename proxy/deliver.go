package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// try sends an accepted exchange through the chain of its adapter.
func (c *courier) try(kept *accepted.Exchange) outcome {
	s := c.server
	if kept.Doubtful && s.deps.Letters.Has(kept.ID) { // a process died after it had given up
		return endedBefore(kept)
	}
	a := s.snapshot.Load().byName[kept.Adapter]
	switch {
	case kept.SealedWith != "":
		return c.locked(kept)
	case a == nil:
		return c.orphan(kept)
	}
	x := &policy.Exchange{Ctx: s.base, Start: time.Now(), Adapter: a.identity, Target: kept.Target, CorrelationID: kept.CorrelationID,
		Delivery: &policy.Delivery{Exchange: kept, Stop: c.stop}, Patience: s.deps.Shared.Patience()}
	x.Request = wire.Request{Method: kept.Method, Target: a.identity.Base + kept.Target, Fields: restored(kept), Body: wire.Body{Bytes: kept.Body}}
	path, _, _ := strings.Cut(kept.Target, "?")
	chain, _, operation := a.route(kept.Method, path)
	x.Operation = operation
	resp, err := chain(x)
	defer resp.Close()
	if x.Again {
		after, wide := policy.AdapterWide(err)
		return outcome{again: &accepted.Put{Reason: reasonOf(resp, err), Attempts: len(x.Attempts), Sent: x.Doubtful(), Every: a.host.TenantWide(err)}, wide: wide, after: after}
	}
	return outcome{letter: x.Delivery.Unkept, end: accepted.End{State: stateOf(resp, err), Result: resultOf(x, resp, err), Attempts: len(x.Attempts), Held: x.KeyHeld(resp, err)}}
}

// harmlessTwice reports whether an exchange may be sent although another sidecar could be sending it too: nobody can be
// asked, the provider drops duplicates, and its adapter goes on without the shared store.
func (c *courier) harmlessTwice(kept *accepted.Exchange) bool {
	a := c.server.snapshot.Load().byName[kept.Adapter]
	if a == nil || kept.SealedWith != "" {
		return false
	}
	path, _, _ := strings.Cut(kept.Target, "?")
	_, settings, _ := a.route(kept.Method, path)
	keys := settings.Idempotency
	return keys != nil && keys.Honoured && keys.Store == "fail_open"
}

// restored are the fields of the application's call, with those of its context that are not sent on.
func restored(kept *accepted.Exchange) wire.Fields {
	fields := kept.Fields.Clone(4)
	if kept.Tenant != "" {
		fields.Set("X-Tenant-ID", kept.Tenant)
	}
	if kept.User != "" {
		fields.Set("X-User-ID", kept.User)
	}
	return fields
}

func reasonOf(resp *wire.Response, err error) string {
	if p, ok := err.(*problem.Problem); ok {
		return string(p.Kind)
	}
	if err != nil || resp == nil {
		return "canceled"
	}
	return string(problem.Draining)
}

func stateOf(resp *wire.Response, err error) accepted.State {
	if policy.Delivered(resp, err) {
		return accepted.Delivered
	}
	return accepted.Failed
}

// resultOf is what the application will find: the external system's answer, or the problem in place of one.
func resultOf(x *policy.Exchange, resp *wire.Response, err error) accepted.Result {
	r := accepted.Result{LetterID: x.LetterID}
	if err == nil {
		r.Status, r.Fields, r.Body, r.Omitted = resp.Status, resp.Fields, resp.Content, resp.Stream != nil
		return r
	}
	p, ok := err.(*problem.Problem)
	if !ok { // nobody can have gone away
		p = problem.New(problem.Internal, "The sidecar failed while delivering this call; its log says why.")
	}
	rendered := p.Render(x.Facts())
	r.Status, r.Fields, r.Body, r.Problem = rendered.Status, rendered.Fields, rendered.Content, true
	return r
}

// endedBefore ends an exchange whose letter is there.
func endedBefore(kept *accepted.Exchange) outcome {
	p := problem.New(problem.OutcomeUnknown, "The call was given up before the sidecar was restarted; its letter says why.")
	return outcome{end: given(kept, p, kept.ID)}
}

// orphan deals with an exchange whose adapter is no longer configured: it may come back until the exchange is too old.
func (c *courier) orphan(kept *accepted.Exchange) outcome {
	if time.Now().Before(kept.Until) {
		return outcome{again: &accepted.Put{Reason: string(problem.NoAdapter)}, wide: true, after: lastAgain}
	}
	p := problem.New(problem.NoAdapter, "The call was accepted, and then its adapter was removed from the configuration.")
	return outcome{letter: letterOf(kept, p), end: given(kept, p, kept.ID)}
}

// locked deals with an exchange whose key is gone: the key may come back until the exchange is too old.
func (c *courier) locked(kept *accepted.Exchange) outcome {
	if time.Now().Before(kept.Until) {
		c.server.log().Error("an accepted exchange is sealed with a key that is not configured; it waits for the key", "exchange_id", kept.ID, "key", kept.SealedWith)
		return outcome{again: &accepted.Put{Reason: string(problem.SpoolUnavailable)}, after: min(lastAgain, time.Until(kept.Until))}
	}
	p := problem.New(problem.SpoolUnavailable, "The call was accepted, and the key it was sealed with ("+kept.SealedWith+") was not in dlq.encryption_key until it was too old to be sent.")
	return outcome{letter: letterOf(kept, p), end: given(kept, p, kept.ID)}
}

func given(kept *accepted.Exchange, p *problem.Problem, letterID string) accepted.End {
	r := p.Render(problem.Exchange{AdapterID: kept.AdapterID, CorrelationID: kept.CorrelationID, Attempts: kept.Attempts, LetterID: letterID})
	return accepted.End{State: accepted.Failed, Held: kept.Doubtful,
		Result: accepted.Result{Status: r.Status, Fields: r.Fields, Body: r.Content, Problem: true, LetterID: letterID}}
}

// letterOf makes the letter of an exchange that no chain can make.
func letterOf(kept *accepted.Exchange, p *problem.Problem) *dlq.Letter {
	kind, now := p.ErrorType(), time.Now()
	if kept.Doubtful {
		kind = problem.TypeOutcomeUnknown
	}
	m := dlq.Message{Method: kept.Method, URL: kept.Target, Target: kept.Target, Operation: kept.Operation, Body: slices.Clone(kept.Body)}
	for _, f := range kept.Fields {
		m.Headers = append(m.Headers, dlq.Header{Name: f.Name, Value: f.Value})
	}
	m.KeepRaw()
	if kept.SealedWith == "" {
		digest := sha256.Sum256(m.Body)
		m.BodyDigest = "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
	} else {
		m.BodyOmitted, m.BodyLength = true, int64(kept.SealedBody)
	}
	return &dlq.Letter{ID: kept.ID, State: dlq.Dead, OriginalMessage: m,
		Error: dlq.Failure{Type: kind, Code: string(p.Kind), Message: p.Detail},
		Metadata: dlq.Metadata{Attempts: kept.Attempts, FirstAttempt: kept.Accepted, LastAttempt: now, CorrelationID: kept.CorrelationID,
			AdapterID: kept.AdapterID, Adapter: kept.Adapter, AdapterVersion: kept.AdapterVersion, TenantID: kept.Tenant, UserID: kept.User,
			IdempotencyKey: kept.Key, Scope: kept.Scope, Fresh: policy.KeySource(kept.KeySource) == policy.KeyFresh, Created: now}}
}
