package policy

import "github.com/fsm-integrations/sidecar/internal/units"

// Timeout are the deadlines of a call.
type Timeout struct {
	Attempt units.Duration `yaml:"attempt" default:"30s" min:"1ms" max:"24h" doc:"One attempt, from its first byte to the last byte of its response."`
	Total   units.Duration `yaml:"total" default:"120s" min:"1ms" max:"24h" doc:"The whole call with all its attempts and waits."`
	Connect units.Duration `yaml:"connect" default:"5s" min:"1ms" max:"10m" doc:"Name lookup, TCP and TLS handshake."`
}

func (t *Timeout) check(r Report) {
	if t.Attempt > t.Total {
		r.Warn("timeout.attempt", "is longer than timeout.total ("+t.Total.String()+"), which ends the call first")
	}
}
