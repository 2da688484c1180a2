package policy

import (
	"fmt"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Retry tries again what failed in a way that may pass.
type Retry struct {
	MaxRetries   int            `yaml:"max_retries" default:"3" min:"0" max:"20" doc:"Attempts after the first."`
	InitialDelay units.Duration `yaml:"initial_delay" default:"1s" min:"1ms" max:"1h" doc:"Wait before the first retry."`
	MaxDelay     units.Duration `yaml:"max_delay" default:"30s" min:"1ms" max:"1h" doc:"Longest wait before jitter; Retry-After may be longer."`
	Multiplier   float64        `yaml:"multiplier" default:"2" min:"1" max:"10" doc:"Growth of the wait from retry to retry."`
	JitterFactor float64        `yaml:"jitter_factor" default:"0.1" min:"0" max:"1" doc:"The wait is lengthened by a random share of itself, up to this factor."`
	Budget       units.Percent  `yaml:"budget" default:"20%" doc:"Largest share of retries among the adapter's calls; three a second are always allowed."`
	On           []string       `yaml:"on" default:"network,timeout,429,5xx" enum:"network,timeout,429,5xx" doc:"Outcomes that are tried again."`
	Methods      []string       `yaml:"methods" default:"GET,HEAD,OPTIONS,PUT,DELETE" enum:"GET,HEAD,OPTIONS,PUT,DELETE,POST,PATCH" doc:"Methods that are safe to send twice without a key. POST and PATCH are a fault unless the provider honours keys."`
}

func (c *Retry) check(s *Settings, r Report) {
	if c.InitialDelay > c.MaxDelay {
		r.Fault("retry.initial_delay", "is longer than retry.max_delay ("+c.MaxDelay.String()+")")
	}
	for _, m := range c.Methods {
		if (m == "POST" || m == "PATCH") && (s.Idempotency == nil || !s.Idempotency.Honoured) {
			r.Fault("retry.methods", m+" would be sent twice to a provider that does not drop duplicates; remove it, or set idempotency.honoured if the provider honours keys")
		}
	}
	if worst := c.WorstCase(s.Timeout); worst > s.Timeout.Total.D() {
		r.Warn("retry", fmt.Sprintf("%d attempts of %s and their delays take up to %s, which does not fit timeout.total (%s); the last attempts may never run",
			c.MaxRetries+1, s.Timeout.Attempt, units.Duration(worst.Round(time.Millisecond)), s.Timeout.Total))
	}
}

// WorstCase is the time all attempts and delays take when each is as long as it can be, without Retry-After.
func (c *Retry) WorstCase(t Timeout) time.Duration {
	sum := t.Attempt.D()
	for n := 1; n <= c.MaxRetries; n++ {
		sum += t.Attempt.D() + time.Duration(float64(c.backoff(n))*(1+c.JitterFactor))
	}
	return sum
}

// attempts runs the rest of the chain until it succeeds, must not be tried again, or time or budget ends.
//
// failsafe-go's retry policy is not used here: its delay, jitter, last result and draining would each have to be
// replaced (docs/decisions/0003-own-retry-loop.md).
func attempts(s *Settings, h *Host) Stage {
	plan := newRetryPlan(s)
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			h.budget.call()
			resp, err := plan.try(next, x)
			for n := 1; plan.again(x, resp, err, n); n++ {
				delay, fits := plan.delay(x, resp, n)
				if !fits {
					x.RetriesEnded = "deadline"
					break
				}
				if !h.budget.retry(plan.budget) {
					x.RetriesEnded = "budget"
					break
				}
				made := len(x.Attempts)
				var later *wire.Response
				began := x.clock()
				laterErr := x.wait(delay)
				x.waited(waitRetry, began)
				if laterErr == nil {
					later, laterErr = plan.try(next, x)
				}
				if p, ok := laterErr.(*problem.Problem); ok && len(x.Attempts) == made {
					x.RetriesEnded = string(p.Kind)
					break // stopped here: by the breaker, the limit, the credentials or the deadline. The last real outcome stands.
				}
				resp.Close()
				resp, err = later, laterErr
			}
			return resp, plan.judge(x, resp, err)
		}
	}
}

// retryPlan is what attempts knows at load.
type retryPlan struct {
	*Retry
	on       map[string]bool
	methods  map[string]bool // may be sent twice without a key
	honoured bool
	budget   float64
}

func newRetryPlan(s *Settings) *retryPlan {
	p := &retryPlan{Retry: s.Retry, methods: map[string]bool{}, on: map[string]bool{}}
	if p.Retry == nil {
		p.Retry = &Retry{Methods: []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}}
	}
	for _, m := range p.Methods {
		p.methods[m] = true
	}
	for _, word := range p.On {
		p.on[word] = true
	}
	p.honoured = s.Idempotency != nil && s.Idempotency.Honoured
	p.budget = float64(p.Budget)
	return p
}

// try makes one attempt on a private copy of the request.
func (p *retryPlan) try(next Next, x *Exchange) (*wire.Response, error) {
	x.beginAttempt()
	return next(x)
}

// again reports whether the outcome of attempt n allows another.
func (p *retryPlan) again(x *Exchange, resp *wire.Response, err error, n int) bool {
	if answer, ok := err.(*problem.Problem); ok && answer.Final {
		return false
	}
	class := classify(resp, err)
	return n <= p.MaxRetries && p.on[judgements[class].retry] && x.Request.Body.Buffered() &&
		(p.resendable(x) || class == Throttled || !lastSent(x)) && x.Ctx.Err() == nil
}

// resendable reports whether sending the request twice does no harm.
func (p *retryPlan) resendable(x *Exchange) bool {
	return p.methods[x.Request.Method] || p.honoured && x.Key.Value != ""
}

// lastSent reports whether any byte of the last attempt left for the external system.
func lastSent(x *Exchange) bool {
	return len(x.Attempts) > 0 && x.Attempts[len(x.Attempts)-1].Sent
}

// judge says what the whole of the attempts came to. A write that was sent and not answered has an unknown outcome
// when it must not be sent again, or when nobody waits for another try.
func (p *retryPlan) judge(x *Exchange, resp *wire.Response, err error) error {
	class := classify(resp, err)
	if err == nil || !class.unanswered() || !anyUnanswered(x) || !isWrite(x.Request.Method) {
		return err
	}
	if class == ClientGone {
		x.Unknown = true
		return err
	}
	if answer, ok := err.(*problem.Problem); ok && !p.resendable(x) {
		x.Unknown = true
		answer.Type, answer.Final = problem.TypeOutcomeUnknown, true
		answer.Detail += " The call was sent and may have taken effect; it is not sent again because this provider does not honour idempotency keys."
	}
	return err
}

// anyUnanswered reports whether an attempt was sent and got no whole answer. A later one that was never sent does not
// tell what came of it.
func anyUnanswered(x *Exchange) bool {
	for i := range x.Attempts {
		if x.Attempts[i].Sent && x.Attempts[i].Error != "" {
			return true
		}
	}
	return false
}

// isWrite reports whether a method may have a side effect (RFC 9110 section 9.2.1).
func isWrite(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return false
	}
	return true
}
