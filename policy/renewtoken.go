package policy

import (
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// renewToken sends an exchange once more, at once, when the external system answered 401 and another access token is to
// be had. A 401 says that the request was not processed, so this holds for every method, and is no retry: neither the
// retry policy nor its budget is asked. It is an attempt, though: it stands outside limit and breaker, so that two sends
// cost two tokens of the limit. When one of them stops it, the 401 is the answer.
func renewToken(a *Auth) Stage {
	if a == nil || a.OAuth2 == nil {
		return nil
	}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			resp, err := next(x)
			if !x.refused || x.renewed || !x.Request.Body.Buffered() {
				return resp, err
			}
			x.renewed, x.refused = true, false
			made := len(x.Attempts)
			x.beginAttempt()
			later, laterErr := next(x)
			if p, ok := laterErr.(*problem.Problem); ok && len(x.Attempts) == made {
				x.RetriesEnded = string(p.Kind)
				return resp, err
			}
			resp.Close()
			return later, laterErr
		}
	}
}
