package policy

import (
	"slices"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Advice is what a configuration means for one method, in words.
type Advice struct {
	Attempts  int           // at most
	Latency   time.Duration // at most, until the application is answered
	Retried   bool          // whether a call that was sent and not answered is sent again
	Why       string
	Refused   problem.Kind // "" when the method is taken; else nothing of the above applies
	RefusedBy string       // the setting that refuses; "" when no setting could allow it
	Renewed   bool         // a 401 is followed by one more attempt, with a fresh access token; counted in Attempts and Latency
	NeedsKey  bool         // without an idempotency key in the configured field the call is refused
}

// Advise works out what settings mean for calls with a method.
func Advise(s *Settings, method string) Advice {
	if kind, by := refused(s, method); kind != "" {
		return Advice{Refused: kind, RefusedBy: by}
	}
	plan := newRetryPlan(s)
	honoured := s.Idempotency != nil && s.Idempotency.Honoured
	a := Advice{Attempts: plan.MaxRetries + 1}
	worst := plan.WorstCase(s.Timeout)
	if a.Renewed = s.Auth != nil && s.Auth.OAuth2 != nil; a.Renewed {
		a.Attempts++
		worst += s.Timeout.Attempt.D() + s.Auth.OAuth2.Timeout.D()
	}
	a.Latency = min(worst, s.Timeout.Total.D())
	a.NeedsKey = s.Idempotency != nil && s.Idempotency.Required && isWrite(method)
	switch {
	case plan.MaxRetries == 0:
		a.Why = "retry is off for this call"
	case plan.methods[method]:
		a.Retried, a.Why = true, method+" is safe to send twice (retry.methods)"
	case isWrite(method) && honoured:
		a.Retried, a.Why = true, "the provider drops duplicates by key (idempotency.honoured) and every attempt carries the same key"
	default:
		a.Why = method + " may take effect twice and the provider does not honour idempotency keys: it is tried again only when nothing was sent, or after a 429"
	}
	return a
}

// refused says as what problem every call with a method ends, whatever else it holds, and by which setting.
func refused(s *Settings, method string) (kind problem.Kind, by string) {
	switch v := s.Validate; {
	case method == "CONNECT" || method == "TRACE":
		return problem.MethodNotAllowed, ""
	case v != nil && len(v.Methods) > 0 && !slices.Contains(v.Methods, method):
		return problem.MethodNotAllowed, "validate.methods"
	}
	return "", ""
}

// AcceptedWhen says that a call of this method is accepted before it is sent, and when; "" when it is not.
func AcceptedWhen(s *Settings, method string) string {
	switch {
	case !s.Async() || !isWrite(method):
		return ""
	case s.Delivery == deliveryOnRequest:
		return ", if the application sends Prefer: respond-async"
	}
	return ", always"
}
