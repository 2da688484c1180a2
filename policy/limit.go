package policy

import (
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// RateLimit is a token bucket in front of the external system.
type RateLimit struct {
	Capacity   int            `yaml:"capacity" default:"100" min:"1" max:"1000000" doc:"Tokens a full bucket holds: the largest burst."`
	RefillRate float64        `yaml:"refill_rate" default:"10" min:"0.001" max:"1000000" doc:"Tokens added per second."`
	Per        string         `yaml:"per" default:"adapter" enum:"adapter,tenant" doc:"One bucket for the adapter, or one per tenant."`
	MaxWait    units.Duration `yaml:"max_wait" default:"0s" max:"1h" doc:"Longest a call waits for its token before it is answered 429."`
	StoreDown  string         `yaml:"store_down" default:"local" enum:"local" doc:"What limits when the shared store is unreachable."`
}

// limitStage takes a token for each attempt. The first attempt waits up to max_wait for it, a retry as long as the
// deadline allows, and all of a replay too, behind the application's calls. So does an accepted exchange, which nobody waits
// for, unless each tenant has a bucket: then it does not wait, or one tenant's would hold up all. What an open breaker is going to refuse neither waits nor costs a
// token. It stands around the attempt, so it is also where an external system's own 429 is seen, and obeyed for all calls,
// not only this one.
func limitStage(h *Host) Stage {
	if h.Limiter == nil {
		return nil
	}
	maxWait := h.Limiter.settings.MaxWait.D()
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			if h.Breaker != nil && h.Breaker.State() == BreakerOpened {
				return nil, circuitOpen(h.Breaker)
			}
			if err := h.Limiter.admit(x, maxWait); err != nil {
				return nil, err
			}
			resp, err := next(x)
			if err == nil && classify(resp, nil) == Throttled {
				h.Limiter.throttled(x.Tenant, retryAfter(resp.Fields, time.Now()))
			}
			return resp, err
		}
	}
}

// admit gets the attempt its token.
func (l *Limiter) admit(x *Exchange, maxWait time.Duration) error {
	switch {
	case x.Delivery != nil && l.settings.Per == "tenant" && len(x.Attempts) == 0:
		return l.trySpare(x)
	case x.Replay != nil, x.Delivery != nil:
		return l.takeSpare(x)
	case len(x.Attempts) > 0:
		return l.take(x, x.Remaining())
	}
	return l.take(x, min(maxWait, x.Remaining()))
}

// rateLimited is the answer to a call that found no token.
func rateLimited(s *RateLimit, b bucketState) error {
	p := problem.New(problem.RateLimited, "This adapter's rate limit is reached; the call was not sent. Try again after the time in Retry-After.")
	p.RetryAfter = b.next
	p.Fields = b.fields(s)
	return p
}
