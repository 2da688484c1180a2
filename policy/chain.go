package policy

import (
	"errors"
	"log/slog"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/recent"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/secret/vault"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

// Deps is what the stages share with the rest of the process.
type Deps struct {
	Keys     idempotency.Store
	Shared   *shared.Client // nil: this sidecar shares nothing
	Letters  *dlq.Spool
	Accepted *accepted.Store // may be nil when no adapter's delivery is asynchronous
	Secrets  *secret.Resolver
	Vault    *vault.Store // behind Secrets; nil: there is none
	Metrics  *telemetry.Metrics
	Tracer   *telemetry.Tracer // nil: nothing is recorded
	Logged   *telemetry.Share  // of successful exchanges; nil: all of them
	Recent   *recent.Log       // for the status page; nil: nothing is remembered
	Log      *slog.Logger
}

// Compile builds the chain of one adapter or operation. This literal is the order of everything.
func Compile(s *Settings, h *Host, d Deps) (Next, error) {
	signature, err := sign(s.Sign, h, d.Secrets)
	if err != nil {
		return nil, err
	}
	token, err := accessToken(s.Auth, h, d.Secrets)
	if err != nil {
		return nil, err
	}
	verification, err := verified(s, h, d.Secrets)
	if err != nil {
		return nil, err
	}
	if s.Async() && d.Accepted == nil {
		return nil, errors.New("delivery: there is no store of accepted exchanges")
	}
	schema, err := conform(s)
	if err != nil {
		return nil, err
	}
	verdict, err := newVerdict(s.Classify)
	if err != nil {
		return nil, err
	}
	programs, err := transform(s, verdict)
	if err != nil {
		return nil, err
	}
	stages := []Stage{
		// Once per exchange.
		observe(s, h, d),
		deadLetter(s, h.Identity, d.Letters),
		stamp(s, d.Tracer),
		pin(h.Identity),
		validate(s),
		schema,
		programs,
		identify(s, h.Identity),
		accept(s, h.Identity, d.Accepted),
		idempotent(s, d.Keys),
		attempts(s, h),
		// Once per attempt.
		renewToken(s.Auth),
		limitStage(h),
		breakStage(h),
		marked(verdict),
		credentials(s.Auth, h, d.Secrets),
		token,
		signature,
		verification,
	}
	next := transmit(s, h)
	for i := len(stages) - 1; i >= 0; i-- {
		if stages[i] != nil {
			next = stages[i](next)
		}
	}
	return next, nil
}
