package policy

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The fields of a call's context.
const (
	CorrelationField = "X-Correlation-ID"
	tenantField      = "X-Tenant-ID"
	userField        = "X-User-ID"
	timeoutField     = "X-Request-Timeout"
	baggageField     = "Baggage"
	maxCorrelation   = 128
)

// Correlate takes the application's correlation id, or makes one: 1 to 128 visible ASCII characters, else a UUIDv7.
func Correlate(f wire.Fields) string {
	if id := f.Get(CorrelationField); len(id) <= maxCorrelation && visible(id) {
		return id
	}
	return uuid.Must(uuid.NewV7()).String()
}

// stamp reads the call's context, finds its place in a trace, removes what is not for third parties, and sets the deadline.
func stamp(s *Settings, t *telemetry.Tracer) Stage {
	forward := func(what string) bool { return slices.Contains(s.Context.Forward, what) }
	var stopped []string
	for _, f := range [...]struct{ what, field string }{{"tenant", tenantField}, {"user", userField}, {"baggage", baggageField}} {
		if !forward(f.what) {
			stopped = append(stopped, f.field)
		}
	}
	total, untrailed := s.Timeout.Total.D(), barred(s)
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			fields := &x.Request.Fields
			fields.Set(CorrelationField, x.CorrelationID)
			x.Tenant, x.User = fields.Get(tenantField), fields.Get(userField)
			x.joinTrace(t)
			for _, name := range stopped {
				fields.Del(name)
			}
			x.Request.Trailer = withoutBarred(x.Request.Trailer, untrailed)
			x.Deadline = x.Start.Add(total)
			if err := shorten(x, total); err != nil {
				return nil, err
			}
			return next(x)
		}
	}
}

// shorten takes the application's own deadline when it is earlier than the adapter's.
func shorten(x *Exchange, total time.Duration) error {
	text := x.Request.Fields.Get(timeoutField)
	if text == "" {
		return nil
	}
	x.Request.Fields.Del(timeoutField)
	own, err := time.ParseDuration(text)
	if err != nil || own <= 0 {
		return problem.New(problem.InvalidRequest, timeoutField+" must be a duration with a unit, such as 5s or 800ms.")
	}
	if own < total {
		x.Deadline, x.shortened = x.Start.Add(own), true
	}
	return nil
}
