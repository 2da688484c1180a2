package policy

import (
	"log/slog"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

// Deps is what the stages share with the rest of the process.
type Deps struct {
	Keys    idempotency.Store
	Shared  *shared.Client // nil: this sidecar shares nothing
	Letters *dlq.Spool
	Secrets *secret.Resolver
	Metrics *telemetry.Metrics
	Log     *slog.Logger
}

// Compile builds the chain of one adapter or operation. This literal is the order of everything.
func Compile(s *Settings, h *Host, d Deps) (Next, error) {
	signature, err := sign(s.Sign, h, d.Secrets)
	if err != nil {
		return nil, err
	}
	stages := []Stage{
		// Once per exchange.
		observe(s, h, d.Metrics.Adapter(h.Identity.ID), d.Log),
		deadLetter(s, h.Identity, d.Letters),
		stamp(s),
		validate(s),
		idempotent(s, h.Identity, d.Keys),
		attempts(s, h),
		// Once per attempt.
		limitStage(h),
		breakStage(h),
		credentials(s.Auth, h, d.Secrets),
		signature,
	}
	next := transmit(s, h)
	for i := len(stages) - 1; i >= 0; i-- {
		if stages[i] != nil {
			next = stages[i](next)
		}
	}
	return next, nil
}
