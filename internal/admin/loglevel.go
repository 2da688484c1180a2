package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

const (
	usualOverride   = 15 * time.Minute // nobody remembers to end one
	longestOverride = 24 * time.Hour
)

// LogLevels are the levels an operator may ask for.
func LogLevels() []string { return []string{"debug", "info", "warn", "error"} }

func (s *server) logLevel(*http.Request) (any, error) {
	if s.Level == nil {
		return nil, refuse(http.StatusNotImplemented, "this sidecar's log level is fixed")
	}
	return s.Level.State(), nil
}

// setLogLevel changes what is logged for a while; "configured" in place of a level ends that.
func (s *server) setLogLevel(r *http.Request) (any, error) {
	o, err := s.order(r)
	if err != nil {
		return nil, err
	}
	level := r.PathValue("level")
	err = s.overrideLevel(level, o.For)
	s.audit(r, o.Who, event{action: "log level", object: level, outcome: "done"}, err)
	if err != nil {
		return nil, err
	}
	return s.Level.State(), nil
}

func (s *server) overrideLevel(level, lasting string) error {
	if s.Level == nil {
		return refuse(http.StatusNotImplemented, "this sidecar's log level is fixed")
	}
	if level == "configured" {
		s.Level.Override(0, 0)
		return nil
	}
	if !slices.Contains(LogLevels(), level) {
		return refuse(http.StatusNotFound, "a log level is debug, info, warn or error; configured is the one of the configuration")
	}
	d := usualOverride
	if lasting != "" {
		var err error
		if d, err = time.ParseDuration(lasting); err != nil || d <= 0 || d > longestOverride {
			return refuse(http.StatusBadRequest, "for must be a duration with a unit, up to 24h, such as 10m")
		}
	}
	s.Level.Override(telemetry.ParseLevel(level), d)
	return nil
}
