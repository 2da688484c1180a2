// Package config reads the YAML document: its shape, its built-in values, the inheritance of policies, and every fault
// with the line it stands on.
//
// The struct tags of the policies (see policy.Settings) and of the types here are the single source: the decoder, the
// built-in values, the bounds and the JSON Schema all come from them. A document is read in four steps: text to a tree
// with positions (syntax.go, tree.go), tree to values (decode.go), layers to effective policies (inherit.go), and what
// only the document as a whole can tell (check.go). Nothing here opens a socket or reads a secret.
package config

import (
	"net/url"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/policy"
)

// Document is a valid configuration. It is immutable: a reload makes a new one.
type Document struct {
	File      string
	Listen    Listen
	Drain     units.Duration // how long calls in flight may take after SIGTERM; default 25s
	Redis     *Redis         // nil: state stays in this process
	Telemetry Telemetry
	Vault     *Vault // nil: none
	DLQ       DLQ
	Adapters  []*Adapter // in file order
	Warnings  []Fault    // what is allowed and doubtful, in file order

	root   *node
	scopes map[string]*scope // by adapter name, or adapter name and operation name
}

// Adapter is one external system.
type Adapter struct {
	Name       string // key in the file; first segment of the path under which the application reaches it
	ID         string // label of metrics, spans and letters; default the name
	Version    string // semantic version of the contract with the provider; default 0.0.0
	Listen     string // own address, "" for none
	Upstream   *url.URL
	Settings   *policy.Settings
	Operations []*Operation // in file order; the first that matches counts
}

// Operation is a method and a path pattern with policies of its own.
type Operation struct {
	Name     string // "POST /api/v2/orders/intake"; "* /path" for any method
	Method   string // "" for any
	Path     string // segments; {name} stands for one, a last ** for the rest
	Settings *policy.Settings
}

// Listen are the addresses of the sidecar, each host:port with an IP address, localhost or nothing as host.
type Listen struct {
	Proxy            string     `yaml:"proxy" default:"127.0.0.1:8080" doc:"Every adapter under /<adapter name>/…, or by Host field."`
	Admin            string     `yaml:"admin" default:"127.0.0.1:9901" doc:"Status page, letters, breakers: loopback only, unless allow_remote_admin; or unix:/path of a socket that only the sidecar's user may use."`
	AdminToken       secret.Ref `yaml:"admin_token" doc:"What requests to admin must carry as Authorization: Bearer, as a secret reference. Empty: nothing."`
	Probes           string     `yaml:"probes" default:":9902" doc:"/metrics, /livez, /readyz and /health: read-only, for kubelet and Prometheus."`
	AllowRemoteAdmin bool       `yaml:"allow_remote_admin" default:"false" doc:"Let admin listen beyond loopback, which needs admin_token. Whoever has it can read and replay letters, and it travels unencrypted."`
}

// Telemetry are logs and spans.
type Telemetry struct {
	ServiceName     string  `yaml:"service_name" default:"integration-sidecar" doc:"service.name of spans and logs."`
	OTLPEndpoint    string  `yaml:"otlp_endpoint" format:"url" doc:"Collector of spans (OTLP over HTTP), as a URL below which /v1/traces is. Empty: none are sent, unless OTEL_EXPORTER_OTLP_ENDPOINT says where to."`
	SampleRatio     float64 `yaml:"sample_ratio" default:"1.0" min:"0" max:"1" doc:"Share of new traces that are recorded; traces of the application keep its decision."`
	LogSuccessRatio float64 `yaml:"log_success_ratio" default:"1" min:"0" max:"1" doc:"Share of successful exchanges that are logged; failures always are."`
	LogLevel        string  `yaml:"log_level" default:"info" enum:"debug,info,warn,error" doc:"Least level that is logged."`
	LogFormat       string  `yaml:"log_format" default:"json" enum:"json,text" doc:"One JSON object per line, or text for people."`
}
