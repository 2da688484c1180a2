package policy

import (
	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/units"
)

// Settings are the effective policies of one adapter or operation, after inheritance. A nil policy is off.
//
// The struct tags are read by internal/config, which decodes, checks and documents from them:
//
//	yaml     the key; ",inline" for an embedded struct
//	default  the built-in value; of a policy (pointer to struct): on or off when no layer mentions it
//	doc      one sentence for the JSON Schema
//	min,max  bounds of a number or quantity, in the notation of the configuration
//	enum     the allowed words of a string or of a list's items
//	schemes  the signature schemes that the key is for; none: all
//	merge    replace: a layer replaces the whole block instead of inheriting field by field
//	later    what parses and validates but is refused by run, for now: * any value that is not off or empty,
//	         else the words that are refused
type Settings struct {
	Call `yaml:",inline"`
	Host HostSettings `yaml:",inline"`
}

// Call are the policies an operation may override.
type Call struct {
	Timeout     Timeout      `yaml:"timeout" doc:"Deadlines of a call."`
	MaxBody     units.Bytes  `yaml:"max_body" default:"1MiB" min:"1B" max:"1GiB" doc:"Largest request body, and largest response kept for replay by key."`
	Context     Context      `yaml:"context" doc:"What of the call's context is sent to the external system."`
	Auth        *Auth        `yaml:"auth" default:"off" merge:"replace" doc:"Credentials put on each attempt."`
	Idempotency *Idempotency `yaml:"idempotency" default:"on" doc:"Idempotency keys and replay of outcomes."`
	Sign        *Sign        `yaml:"sign" default:"off" doc:"Signature put on each attempt."`
	Retry       *Retry       `yaml:"retry" default:"on" doc:"Retries with exponential backoff."`
	Validate    *Validate    `yaml:"validate" default:"off" doc:"What the application may send."`
	Transform   *Transform   `yaml:"transform" default:"off" doc:"jq programs over JSON bodies."`
	Classify    *Classify    `yaml:"classify" default:"off" doc:"Failures that only the body of a response tells of."`
	DeadLetter  *DeadLetter  `yaml:"dlq" default:"on" doc:"Which final failures are kept as letters."`
	Reconcile   *Reconcile   `yaml:"reconcile" default:"off" doc:"How the provider is asked whether a call of unknown outcome took effect."`
	Delivery    string       `yaml:"delivery" default:"sync" enum:"sync,async,on_request" doc:"sync answers with the outcome; async answers a write 202 once it is on disk, and delivers it later; on_request does that for calls with Prefer: respond-async."`
}

// HostSettings are the policies whose state belongs to the external system as a whole.
type HostSettings struct {
	TLS       *TLS       `yaml:"tls" default:"off" doc:"TLS beyond the system's roots."`
	Egress    *Egress    `yaml:"egress" default:"off" doc:"Addresses that may be dialled."`
	Breaker   *Breaker   `yaml:"breaker" default:"on" doc:"Circuit breaker."`
	RateLimit *RateLimit `yaml:"rate_limit" default:"off" doc:"Token bucket in front of the external system."`
	Health    *Health    `yaml:"health" default:"off" doc:"Active health checks."`
}

// Report takes what Check finds, at a path relative to the settings, such as idempotency.lease.
type Report interface {
	Fault(path, message string)
	Warn(path, message string)
}

// Load reads what the settings name beside the configuration, and reports what is wrong with it.
func (s *Settings) Load(files *jsonbody.Files, r Report) {
	if s.Validate != nil {
		s.Validate.load(files, r)
	}
}

// Check reports every unsafe combination of the settings. Single values are checked by their tags before.
func (s *Settings) Check(r Report) {
	s.Call.Timeout.check(r)
	s.checkFields(r)
	s.checkDelivery(r)
	if s.Idempotency != nil {
		s.Idempotency.check(s, r)
	}
	if s.Retry != nil {
		s.Retry.check(s, r)
	}
	if s.Auth != nil {
		s.Auth.check(r)
	}
	if s.Sign != nil {
		s.Sign.check(r)
	}
	if s.Validate != nil {
		s.Validate.check(r)
	}
	if s.Transform != nil {
		s.Transform.check(r)
	}
	if s.Classify != nil {
		s.Classify.check(r)
	}
	if s.DeadLetter != nil {
		s.DeadLetter.check(r)
		if s.DeadLetter.AutoReplay && (s.Idempotency == nil || !s.Idempotency.Honoured) {
			r.Warn("dlq.auto_replay", "does nothing: letters are replayed by themselves only to a provider that honours idempotency keys (idempotency.honoured)")
		}
	}
	if s.Reconcile != nil {
		s.Reconcile.check(r)
	}
	s.Host.check(r)
}

func (h *HostSettings) check(r Report) {
	if h.TLS != nil {
		h.TLS.Check(r)
	}
	if h.Egress != nil {
		h.Egress.check(r)
	}
	if h.Health != nil {
		h.Health.check(r)
	}
}
