package config

import (
	"reflect"

	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

// documentShape is the document as it is written, before inheritance.
type documentShape struct {
	Listen    Listen                  `yaml:"listen" doc:"Addresses of the sidecar."`
	Drain     units.Duration          `yaml:"drain" default:"25s" max:"1h" doc:"How long calls in flight may take after SIGTERM; keep it below terminationGracePeriodSeconds."`
	Redis     *Redis                  `yaml:"redis" default:"off" doc:"State that replicas share; without it state stays in this process."`
	Telemetry Telemetry               `yaml:"telemetry" doc:"Logs and spans."`
	Vault     *Vault                  `yaml:"vault" default:"off" doc:"Server behind vault: references."`
	DLQ       DLQ                     `yaml:"dlq" doc:"Where letters are kept and sent."`
	Defaults  policy.Settings         `yaml:"defaults" inherit:"true" doc:"Policies of every adapter that does not say otherwise."`
	Adapters  map[string]adapterShape `yaml:"adapters" required:"true" keys:"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" doc:"The external systems by name; the name is the first segment of the path."`
}

const semverPattern = `^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`

// adapterShape is an adapter as it is written.
type adapterShape struct {
	ID              string `yaml:"id" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" doc:"Label of every metric, span and letter. Default: the name."`
	Version         string `yaml:"version" default:"0.0.0" doc:"Semantic version of the contract with this provider (semver.org)."`
	Upstream        string `yaml:"upstream" required:"true" doc:"Base URL of the external system: http or https, a host, perhaps a path."`
	Listen          string `yaml:"listen" doc:"Own address; paths then arrive without a prefix."`
	policy.Settings `yaml:",inline" inherit:"true"`
	Operations      []operationShape `yaml:"operations" doc:"Methods and paths with policies of their own; the first that matches counts."`
}

// operationShape is an operation as it is written.
type operationShape struct {
	Match       Match `yaml:"match" required:"true" doc:"The calls it is about."`
	policy.Call `yaml:",inline" inherit:"true"`
}

// Match is a method and a path pattern.
type Match struct {
	Method string `yaml:"method" doc:"Method in capitals. Default: any."`
	Path   string `yaml:"path" required:"true" doc:"Path below the adapter: segments, {name} for any one segment, a last ** for the rest."`
}

var (
	settingsType = reflect.TypeFor[policy.Settings]()
	callType     = reflect.TypeFor[policy.Call]()
	hostType     = reflect.TypeFor[policy.HostSettings]()
)
