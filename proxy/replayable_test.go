package proxy

import (
	"cmp"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

// mayReplay says why a letter would be refused.
func mayReplay(l *dlq.Letter, s *policy.Settings, force bool) string {
	l.OriginalMessage.Target = "/orders"
	r := &resend{server: new(Server), letter: l, adapter: new(adapter), settings: s, options: ReplayOptions{Force: force},
		unknown: l.Error.Type == problem.TypeOutcomeUnknown}
	return cmp.Or(r.impossible(), r.unsafe())
}

func TestWhichLettersMayBeSentAgain(t *testing.T) {
	const ttl = 24 * time.Hour
	for _, c := range []struct {
		state    dlq.State
		kind     problem.ErrorType
		age      time.Duration
		honoured bool
		force    bool
		want     bool
	}{
		{dlq.Dead, problem.TypeServerError, time.Hour, false, false, true},
		{dlq.Forwarded, problem.TypeServerError, time.Hour, false, false, true},
		{dlq.Replayed, problem.TypeServerError, time.Hour, true, true, false},
		{dlq.Resolved, problem.TypeServerError, time.Hour, true, true, false},
		{dlq.Discarded, problem.TypeServerError, time.Hour, true, true, false},
		{dlq.Dead, problem.TypeServerError, ttl + time.Minute, true, false, false},
		{dlq.Dead, problem.TypeServerError, ttl + time.Minute, true, true, true},
		{dlq.Dead, problem.TypeServerError, ttl - time.Minute, true, false, true},
		{dlq.Dead, problem.TypeOutcomeUnknown, time.Hour, true, false, true},
		{dlq.Dead, problem.TypeOutcomeUnknown, time.Hour, false, false, false},
		{dlq.Dead, problem.TypeOutcomeUnknown, time.Hour, false, true, true},
		{dlq.Dead, problem.TypeOutcomeUnknown, ttl + time.Minute, true, false, false},
	} {
		l := &dlq.Letter{State: c.state, Error: dlq.Failure{Type: c.kind}, Metadata: dlq.Metadata{FirstAttempt: time.Now().Add(-c.age)}}
		s := &policy.Settings{}
		s.Idempotency = &policy.Idempotency{Honoured: c.honoured, ProviderTTL: units.Duration(ttl)}
		if reason := mayReplay(l, s, c.force); (reason == "") != c.want {
			t.Errorf("%+v: %q", c, reason)
		}
	}
	unknown := &dlq.Letter{State: dlq.Dead, Error: dlq.Failure{Type: problem.TypeOutcomeUnknown}, Metadata: dlq.Metadata{FirstAttempt: time.Now()}}
	if mayReplay(unknown, &policy.Settings{}, false) == "" {
		t.Error("without idempotency an unknown outcome is sent again")
	}
}
