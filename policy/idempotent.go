package policy

import (
	"context"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// identify gives each write its key. It stands before the exchange may be accepted, so that the key is fixed by then.
func identify(s *Settings, id *Identity) Stage {
	c := s.Idempotency
	if c == nil {
		return nil
	}
	i := &identifier{Idempotency: c, settings: s, adapter: id.Name}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			if !isWrite(x.Request.Method) {
				return next(x)
			}
			if err := i.identify(x); err != nil {
				return nil, err
			}
			c.put(x)
			return next(x)
		}
	}
}

// identifier is what identify knows at load.
type identifier struct {
	*Idempotency
	settings *Settings
	adapter  string
}

// identify finds the exchange's key. A replay keeps the one its letter has, a delivery the one it was accepted with.
func (i *identifier) identify(x *Exchange) error {
	if x.Delivery != nil {
		a := x.Delivery.Exchange
		x.Key = Key{Value: a.Key, Source: KeySource(a.KeySource), Scope: a.Scope}
		if a.Key != "" {
			return nil
		}
	}
	if x.Replay != nil {
		m := x.Replay.Letter.Metadata
		x.Key = Key{Value: m.IdempotencyKey, Source: KeyApplication, Scope: m.Scope}
		if m.Fresh {
			x.Key.Source = KeyFresh
		}
		if m.IdempotencyKey != "" {
			return nil
		}
	}
	key, err := i.findKey(x)
	if err != nil {
		return err
	}
	// An accepted exchange outlives this process: its key is remembered also when it is fresh, or a crash in mid-call would
	// go unnoticed.
	if (key.Source != KeyFresh || i.settings.takes(x)) && x.Request.Body.Buffered() {
		path, _, _ := strings.Cut(x.Target, "?")
		key.Scope = idempotency.NewScope(x.Tenant, i.adapter, x.Request.Method, path, key.Value).String()
	}
	x.Key = key
	return nil
}

// idempotent lets a key run once.
//
// A key made fresh for one exchange is known to nobody else, so it is sent to the provider but not remembered here,
// unless the exchange outlives this process.
func idempotent(s *Settings, store idempotency.Store) Stage {
	c := s.Idempotency
	if c == nil {
		return nil
	}
	guard := &keyGuard{Idempotency: *c, plan: newRetryPlan(s), store: store}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			if !isWrite(x.Request.Method) {
				return next(x)
			}
			if x.Key.Scope == "" {
				x.Idempotency = "fresh"
				return next(x)
			}
			return guard.once(next, x)
		}
	}
}

// keyGuard is what idempotent knows at load.
type keyGuard struct {
	Idempotency
	plan  *retryPlan
	store idempotency.Store
}

// once runs the rest of the chain if the key allows it, else answers with what is known of the key.
func (g *keyGuard) once(next Next, x *Exchange) (*wire.Response, error) {
	scope, _ := idempotency.ParseScope(x.Key.Scope)
	ask := idempotency.Request{
		Scope: scope, Fingerprint: idempotency.NewFingerprint(x.Request.Query(), x.Request.Body.Bytes),
		LetterID: x.NewLetterID(), Lease: g.Lease.D(),
		Resend:   g.resend(x),
		FailOpen: g.Store == "fail_open",
	}
	for {
		decision, err := g.begin(x, ask)
		if err != nil {
			return g.withoutStore(next, x, err)
		}
		switch decision.Verdict {
		case idempotency.Granted:
			x.StoreError = decision.Degraded
			if x.Delivery.doubtful() && !ask.Resend {
				return nil, g.forsake(x, scope, decision.Owner)
			}
			return g.run(next, x, scope, decision.Owner)
		case idempotency.Replay:
			return g.replay(x, decision.Outcome)
		case idempotency.InFlight:
			if err := g.await(x, decision.Done); err != nil {
				return nil, err
			}
			x.Patience.Renew()
		case idempotency.Reused:
			x.Idempotency = "reused"
			return nil, keyReused()
		default:
			return nil, g.unknown(x, decision.LetterID)
		}
	}
}

func keyReused() error {
	return problem.New(problem.KeyReused, "This idempotency key was used for a request with another body or query. Use a new key for a new request.")
}

// resend reports whether the call may be sent although an earlier one with its key may have taken effect.
func (g *keyGuard) resend(x *Exchange) bool {
	if x.Delivery.doubtful() && !g.plan.methods[x.Request.Method] && time.Since(x.Delivery.Exchange.Since) > g.ProviderTTL.D() {
		return false // the provider has forgotten the key
	}
	return g.plan.resendable(x) || x.Replay != nil && (x.Replay.Force || x.Replay.Absent)
}

// forsake gives up a delivery that an earlier process may have sent, of which the store of keys knows nothing.
func (g *keyGuard) forsake(x *Exchange, scope idempotency.Scope, owner idempotency.Owner) error {
	ctx, done := x.askRedis(context.WithoutCancel(x.Ctx))
	defer done()
	if err := g.store.Abandon(ctx, scope, owner, g.TTL.D()); err != nil {
		x.StoreError = err
	}
	return g.unknown(x, x.NewLetterID())
}

// begin asks for the key. Only a shared store is waited for with patience; what is local is waited for.
func (g *keyGuard) begin(x *Exchange, ask idempotency.Request) (idempotency.Decision, error) {
	ctx, done := x.askRedis(x.Ctx)
	defer done()
	return g.store.Begin(ctx, ask)
}

// run sends the call as the owner of its key and settles the key by what came of it, although the application may have
// gone away.
func (g *keyGuard) run(next Next, x *Exchange, scope idempotency.Scope, owner idempotency.Owner) (resp *wire.Response, err error) {
	x.keep = true
	returned := false
	defer func() {
		ctx, done := x.askRedis(context.WithoutCancel(x.Ctx))
		defer done()
		if !returned { // a panic: nobody knows how far the call came
			_ = g.store.Abandon(ctx, scope, owner, g.TTL.D())
			return
		}
		g.settle(ctx, x, scope, owner, resp, err)
	}()
	resp, err = next(x)
	returned = true
	return resp, err
}

// settle ends the claim of a call that returned.
func (g *keyGuard) settle(ctx context.Context, x *Exchange, scope idempotency.Scope, owner idempotency.Owner, resp *wire.Response, err error) {
	var storeErr error
	switch {
	case err == nil && storable(resp):
		x.Idempotency = "stored"
		storeErr = g.store.Finish(ctx, scope, owner, outcomeOf(resp), g.TTL.D())
	case err != nil && x.Unknown, x.Replay.stillUnknown(), x.Delivery.doubtful():
		x.Idempotency = "unknown"
		storeErr = g.store.Abandon(ctx, scope, owner, g.TTL.D())
	default:
		x.Idempotency = "released"
		storeErr = g.store.Release(ctx, scope, owner)
	}
	if storeErr != nil { // the answer stands; who asks next may find the outcome unknown
		x.StoreError = storeErr
	}
	if x.StoreError != nil { // also when the key was granted without the store
		x.Idempotency = "store_failed"
	}
}

// outcomeOf copies a response for the store. A body that was not read whole because of its size is left out.
func outcomeOf(resp *wire.Response) *idempotency.Outcome {
	return &idempotency.Outcome{Status: resp.Status, Fields: resp.Fields, Body: resp.Content, Omitted: resp.Stream != nil}
}

// replay answers with the stored outcome.
func (g *keyGuard) replay(x *Exchange, o *idempotency.Outcome) (*wire.Response, error) {
	x.Idempotency = "replayed"
	if x.Replay != nil {
		x.Replay.Stored = true
	}
	if o.Omitted {
		p := problem.New(problem.OutcomeUnknown, "The first call with this key was answered, but its response was too large to keep, so it cannot be repeated. The call was not sent again.")
		p.Type = problem.TypeIdempotency
		return nil, p
	}
	fields := o.Fields.Clone(2)
	fields.Set("Idempotency-Replayed", "true")
	return &wire.Response{Status: o.Status, Fields: fields, Content: o.Body}, nil
}

// await waits for the call that has the key, within the deadline, unless there is no telling when it ends.
func (g *keyGuard) await(x *Exchange, done <-chan struct{}) error {
	if done != nil {
		defer x.waited(waitInFlight, x.clock())
		timer := time.NewTimer(x.Remaining())
		defer timer.Stop()
		select {
		case <-done:
			return nil
		case <-x.Ctx.Done():
			return x.gone()
		case <-x.stopping():
			return drained()
		case <-timer.C:
		}
	}
	x.Idempotency = "in_flight"
	p := problem.New(problem.KeyInFlight, "Another call with this idempotency key is still in flight. Try again with the same key to get its outcome.")
	p.RetryAfter = time.Second
	return p
}

func (g *keyGuard) unknown(x *Exchange, letterID string) error {
	x.Idempotency = "unknown"
	p := problem.New(problem.OutcomeUnknown, "An earlier call with this key was sent and its outcome is not known. This provider does not honour idempotency keys, so it is not sent again; its letter can be replayed once somebody has looked.")
	p.LetterID = letterID
	return p
}

// withoutStore goes on as the policy says when the store of keys fails.
func (g *keyGuard) withoutStore(next Next, x *Exchange, err error) (*wire.Response, error) {
	if x.Ctx.Err() != nil {
		return nil, x.gone()
	}
	x.Idempotency, x.StoreError = "store_failed", err
	if g.Store == "fail_closed" || x.Delivery.doubtful() && !g.resend(x) {
		p := problem.New(problem.StoreUnavailable, "The store of idempotency keys is unavailable and this adapter does not call without it. The call was not sent.")
		p.RetryAfter, p.Cause = time.Second, err
		return nil, p
	}
	return next(x)
}
