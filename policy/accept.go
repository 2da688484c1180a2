package policy

import (
	"errors"
	"time"

	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// orderField names the order key of an accepted exchange. It is for the sidecar and is not sent on.
const orderField = "X-Order-Key"

// refusedFor is how long an application should wait before it asks again whether there is room.
const refusedFor = 5 * time.Second

// accept puts a write on disk and answers 202 in place of sending it, where delivery says so. A try of an exchange
// that was accepted before passes on, and what stopped it before it was sent is noted.
func accept(s *Settings, id *Identity, store *accepted.Store) Stage {
	if store == nil {
		return nil
	}
	a := &acceptor{settings: s, id: id, store: store, private: newPrivacy(s)}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			switch {
			case x.Delivery != nil:
				return a.deliver(next, x)
			case !s.Async() || !isWrite(x.Request.Method) || x.Replay != nil:
				return next(x)
			}
			order, err := takeOrder(x)
			if err != nil {
				return nil, err
			}
			if !s.takes(x) {
				return next(x)
			}
			x.Preferred = prefersAsync(x.Request.Fields)
			dropRespondAsync(&x.Request.Fields)
			return a.accept(x, order)
		}
	}
}

// takes reports whether this write is to be accepted.
func (s *Settings) takes(x *Exchange) bool {
	return s.Async() && (s.Delivery != deliveryOnRequest || prefersAsync(x.Request.Fields))
}

// takeOrder takes the order key off the call; without one it is the idempotency key.
func takeOrder(x *Exchange) (string, error) {
	if !x.Request.Fields.Has(orderField) {
		return x.Key.Value, nil
	}
	key := x.Request.Fields.Get(orderField)
	x.Request.Fields.Del(orderField)
	if !validKey(key) {
		return "", problem.New(problem.InvalidRequest, orderField+" must be 1 to 255 visible ASCII characters.")
	}
	return key, nil
}

// acceptor is what accept knows at load.
type acceptor struct {
	settings *Settings
	id       *Identity
	store    *accepted.Store
	private  privacy
}

func (a *acceptor) accept(x *Exchange, order string) (*wire.Response, error) {
	kept := a.exchange(x, order)
	found, err := a.store.Accept(x.Ctx, kept)
	switch {
	case err == nil:
		x.Accepted, x.Repeated = found, found.ID != kept.ID
		a.share(x, found.ID)
		return &wire.Response{Status: 202}, nil
	case errors.Is(err, accepted.ErrReused):
		x.Idempotency = "reused"
		return nil, keyReused()
	case x.Ctx.Err() != nil:
		return nil, x.gone()
	}
	p := problem.New(problem.SpoolUnavailable, "The sidecar could not put the call on disk, so it did not accept it. Nothing was sent.")
	if errors.Is(err, accepted.ErrFull) {
		p.Detail = "The sidecar has no room for more accepted calls. Nothing was sent."
	}
	p.RetryAfter, p.Cause = refusedFor, err
	return nil, p
}

// share waits for the copy that other sidecars deliver from should this one be gone, as long as calls wait for Redis.
func (a *acceptor) share(x *Exchange, id string) {
	ctx, done := x.Patience.Spend(x.Ctx)
	defer done()
	a.store.Copied(ctx, id)
}

// exchange is what goes to the disk. Like a letter it leaves the application's own credentials out.
func (a *acceptor) exchange(x *Exchange, order string) *accepted.Exchange {
	keys, now := a.settings.Idempotency, time.Now()
	return &accepted.Exchange{ID: accepted.NewID(), Adapter: a.id.Name, AdapterID: a.id.ID, AdapterVersion: a.id.Version, Operation: x.Operation,
		Method: x.Request.Method, Target: x.Target, Fields: a.private.strip(x.Request.Fields), Body: x.Request.Body.Bytes,
		Key: x.Key.Value, KeySource: uint8(x.Key.Source), Scope: x.Key.Scope,
		Fingerprint: idempotency.NewFingerprint(x.Request.Query(), x.Request.Body.Bytes), Order: order, Tenant: x.Tenant, User: x.User,
		CorrelationID: x.CorrelationID, Accepted: now, Until: now.Add(keys.TTL.D()), TTL: keys.TTL.D()}
}

// deliver makes one try. What has waited for too long is not sent any more, unless it may have been sent before: then
// its key says what became of it.
func (a *acceptor) deliver(next Next, x *Exchange) (*wire.Response, error) {
	kept := x.Delivery.Exchange
	x.keep = true
	x.Delivery.late = time.Now().After(kept.Until)
	switch {
	case x.Delivery.late && !kept.Doubtful:
		return nil, notInTime(kept)
	case kept.Doubtful && a.settings.Idempotency == nil: // switched off since: nothing knows what became of it
		x.Unknown = true
		return nil, problem.New(problem.OutcomeUnknown, "The call may have been sent before the sidecar was restarted. Its adapter has no idempotency keys any more, so it is not sent again.")
	}
	resp, err := next(x)
	x.Again = x.putBack(resp, err)
	return resp, err
}

func notInTime(kept *accepted.Exchange) error {
	p := problem.New(problem.TotalTimeout, "The call was accepted and could not be sent within "+kept.TTL.String()+".")
	if kept.Reason != "" {
		p.Detail += " The last try ended as " + kept.Reason + "."
	}
	p.Final = true
	return p
}
