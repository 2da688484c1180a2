package policy

import "github.com/fsm-integrations/sidecar/internal/units"

// Health are active checks of the external system.
type Health struct {
	Path     string         `yaml:"path" default:"/health" doc:"Path asked below the upstream."`
	Interval units.Duration `yaml:"interval" default:"30s" min:"1s" max:"24h" doc:"Time between checks."`
	Timeout  units.Duration `yaml:"timeout" default:"5s" min:"1ms" max:"10m" doc:"Longest wait for an answer."`
}
