package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The words of delivery.
const (
	deliverySync      = "sync"
	deliveryOnRequest = "on_request"
)

// Async reports whether exchanges may be accepted before they are sent.
func (s *Settings) Async() bool { return s.Delivery != deliverySync && s.Delivery != "" }

func (s *Settings) checkDelivery(r Report) {
	if s.Async() && s.Idempotency == nil {
		r.Fault("delivery", s.Delivery+" needs idempotency: an accepted call is found again, and kept from being sent twice, by its key")
	}
	if s.Async() {
		s.checkAcceptedLetters(r)
	}
}

// checkAcceptedLetters finds accepted calls that would fail without a trace: nobody waits for their answer.
func (s *Settings) checkAcceptedLetters(r Report) {
	if s.DeadLetter == nil {
		r.Fault("dlq", "is off, and delivery is "+s.Delivery+": a call that was answered 202 and then fails would be lost; keep letters, or use sync")
		return
	}
	needed := []string{"network", "timeout", "429", "5xx", "circuit_open", "outcome_unknown"}
	if s.Classify != nil && s.Classify.As == string(wire.PartialFailure) {
		needed = append(needed, "partial_failure")
	}
	if missing := without(needed, s.DeadLetter.On); len(missing) > 0 {
		r.Warn("dlq.on", "leaves out "+strings.Join(missing, ", ")+": a call that was answered 202 (delivery: "+s.Delivery+") and then ends so leaves no letter")
	}
	methods := []string{"POST", "PUT", "PATCH", "DELETE"}
	if s.Validate != nil && len(s.Validate.Methods) > 0 {
		methods = slices.DeleteFunc(slices.Clone(s.Validate.Methods), func(m string) bool { return !isWrite(m) })
	}
	if missing := without(methods, s.DeadLetter.Methods); len(missing) > 0 {
		r.Warn("dlq.methods", "leaves out "+strings.Join(missing, ", ")+": such a call that was answered 202 (delivery: "+s.Delivery+") and then fails leaves no letter")
	}
}

// without is what of all is not in some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// Delivery is one try of an exchange that was accepted before.
type Delivery struct {
	Exchange *accepted.Exchange
	Stop     <-chan struct{} // closed when the sidecar begins to drain: what waits stops waiting and is put back

	Unkept *dlq.Letter // that the spool could not take: there is time to try again

	late bool // it is not tried again after this
}

// doubtful reports whether an earlier try may have taken effect without our knowing.
func (d *Delivery) doubtful() bool { return d != nil && d.Exchange.Doubtful }

// stopping is closed when an exchange that can be put back should not wait any longer.
func (x *Exchange) stopping() <-chan struct{} {
	if x.Delivery == nil {
		return nil
	}
	return x.Delivery.Stop
}

func (x *Exchange) stopped() bool {
	select {
	case <-x.Delivery.Stop:
		return true
	default:
		return context.Cause(x.Ctx) == ErrStopped
	}
}

func drained() error {
	return problem.New(problem.Draining, "The sidecar is shutting down; the call is made after its next start.")
}

// putBack reports whether a try of an accepted exchange came to nothing and must be made again: it was not sent, or the
// sidecar has to stop before the chain was done with it.
func (x *Exchange) putBack(resp *wire.Response, err error) bool {
	if x.Unknown || x.Delivery.late {
		return false
	}
	class := classify(resp, err)
	if x.stopped() && (judgements[class].retry != "" || class == TotalTime) {
		return true
	}
	p, ok := err.(*problem.Problem)
	if !ok {
		return false
	}
	switch p.Kind {
	case problem.CircuitOpen, problem.RateLimited, problem.CredentialsUnavailable, problem.StoreUnavailable, problem.KeyInFlight, problem.Draining:
		return true
	case problem.TotalTimeout:
		return len(x.Attempts) == 0 // spent waiting for a token
	}
	return false
}

// Delivered reports whether the external system answered for good: with success, also in part or one that could not be
// transformed, or with a refusal that will not change.
func Delivered(resp *wire.Response, err error) bool {
	class := classify(resp, err)
	return class == Success || class == ClientError || class == Partial || class == Garbled
}

// KeyHeld reports whether the key stands for this outcome, so that another call with it must not be sent.
func (x *Exchange) KeyHeld(resp *wire.Response, err error) bool {
	class := classify(resp, err)
	return x.Unknown || class == KeyUnknown || class == Partial || class == Garbled || err == nil && storable(resp)
}

// Doubtful reports whether something of this try was sent that nobody answered.
func (x *Exchange) Doubtful() bool { return anyUnanswered(x) }

// AdapterWide reports whether what stopped a try would stop every other exchange of the adapter too, and when it may
// be over; 0 when that is not known.
func AdapterWide(err error) (time.Duration, bool) {
	p, ok := err.(*problem.Problem)
	if !ok {
		return 0, false
	}
	switch p.Kind {
	case problem.CircuitOpen, problem.StoreUnavailable, problem.Draining:
		return p.RetryAfter, true
	}
	return p.RetryAfter, false
}

// TenantWide reports whether what stopped a try would stop every other exchange of its tenant too: an empty bucket. It
// is the time between two tokens then, else 0.
func (h *Host) TenantWide(err error) time.Duration {
	p, ok := err.(*problem.Problem)
	if !ok || p.Kind != problem.RateLimited || h.Limiter == nil || h.Limiter.settings.Per != "tenant" {
		return 0
	}
	return time.Duration(float64(time.Second) / h.Limiter.settings.RefillRate)
}

// exchangeID is the id of an exchange that was accepted, now or before; "" of every other.
func (x *Exchange) exchangeID() string {
	switch {
	case x.Delivery != nil:
		return x.Delivery.Exchange.ID
	case x.Accepted != nil:
		return x.Accepted.ID
	}
	return ""
}
