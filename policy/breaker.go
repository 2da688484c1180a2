package policy

import (
	"context"
	"io"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Breaker stops calls to an external system that keeps failing.
type Breaker struct {
	FailureThreshold int            `yaml:"failure_threshold" default:"5" min:"1" max:"1000" doc:"Failures in a row that open the breaker."`
	SuccessThreshold int            `yaml:"success_threshold" default:"2" min:"1" max:"1000" doc:"Probes let through when half-open, and successes that close it."`
	ResetTimeout     units.Duration `yaml:"reset_timeout" default:"60s" min:"1ms" max:"24h" doc:"Time it stays open before it probes."`
	Share            string         `yaml:"share" default:"off" enum:"off,redis" doc:"redis: one sidecar that finds an outage spares the others; off: each finds out for itself."`
}

// breakStage lets an attempt through when the breaker does, and tells it what came of the attempt: of a streamed
// success when the stream ends, unless the attempt is a probe, which a stream without end would hold for ever.
func breakStage(h *Host) Stage {
	if h.Breaker == nil {
		return nil
	}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			permit, ok := h.Breaker.acquire()
			if !ok {
				return nil, circuitOpen(h.Breaker)
			}
			effect := neutral // what a panicking attempt leaves behind: its permit comes back
			streams := false
			defer func() {
				if !streams {
					permit.done(effect)
				}
			}()
			resp, err := next(x)
			class := classify(resp, err)
			if class != TotalTime || !x.shortened { // the application's impatience is not the system's failure
				effect = judgements[class].breaker
			}
			if streams = effect == success && resp.Stream != nil && !permit.probe; streams {
				resp.Stream = &judgedStream{ReadCloser: resp.Stream, ctx: x.Ctx, permit: permit}
			}
			return resp, err
		}
	}
}

// judgedStream tells the breaker how a streamed response ended.
type judgedStream struct {
	io.ReadCloser
	ctx    context.Context // of the application
	permit permit
	told   bool
}

func (s *judgedStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		s.tell(success)
	case err != nil && s.ctx.Err() == nil:
		s.tell(failure)
	}
	return n, err
}

// Close ends a stream that the application did not read to its end: nobody knows how it would have gone on.
func (s *judgedStream) Close() error {
	s.tell(neutral)
	return s.ReadCloser.Close()
}

func (s *judgedStream) tell(effect breakerEffect) {
	if !s.told {
		s.told = true
		s.permit.done(effect)
	}
}

func circuitOpen(g *Guard) error {
	p := problem.New(problem.CircuitOpen, "Calls to this external system are stopped because it kept failing; it is probed again after the time in Retry-After.")
	p.RetryAfter = max(g.Remaining(), time.Second)
	if g.Held() {
		p.Detail = "Calls to this external system were stopped by an operator."
		p.RetryAfter = max(g.settings.ResetTimeout.D(), time.Second)
	}
	return p
}
