package policy

import (
	"strings"

	"github.com/fsm-integrations/sidecar/internal/units"
)

// Idempotency gives each write a key and replays the outcome of a key that was used before.
type Idempotency struct {
	Header      string         `yaml:"header" default:"X-Idempotency-Key" doc:"Field the provider reads; the application's key is taken from it too."`
	Format      string         `yaml:"format" default:"raw" enum:"raw,structured" doc:"raw, or structured: a quoted string (RFC 9651)."`
	Honoured    bool           `yaml:"honoured" default:"false" doc:"The provider drops duplicates by key: only then may a POST be sent twice."`
	KeyFrom     []string       `yaml:"key_from" doc:"Parts of a key made from the call: tenant, user, method, path, query:name, header:Name, body:/json/pointer."`
	Required    bool           `yaml:"required" default:"false" doc:"Refuse a write that has no key and no key_from parts."`
	TTL         units.Duration `yaml:"ttl" default:"24h" min:"1s" max:"8760h" doc:"How long an outcome is replayed."`
	Lease       units.Duration `yaml:"lease" default:"5m" min:"1ms" max:"24h" doc:"How long one sidecar may hold a key in flight; longer than timeout.total."`
	ProviderTTL units.Duration `yaml:"provider_ttl" default:"24h" min:"1s" max:"8760h" doc:"How long the provider remembers a key; older letters are not replayed without --force."`
	Store       string         `yaml:"store" default:"fail_open" enum:"fail_open,fail_closed" doc:"When the store of keys fails: go on without it, or answer 503."`
}

func (c *Idempotency) check(s *Settings, r Report) {
	if c.Lease <= s.Timeout.Total {
		r.Fault("idempotency.lease", "must be longer than timeout.total ("+s.Timeout.Total.String()+"), or a key could be taken over while its call is still running")
	}
	if fault := fieldFault(c.Header); fault != "" {
		r.Fault("idempotency.header", fault)
	}
	for _, part := range c.KeyFrom {
		if !validKeyPart(part) {
			r.Fault("idempotency.key_from", part+" is not one of tenant, user, method, path, query:name, header:Name, body:/json/pointer")
		}
	}
}

func validKeyPart(part string) bool {
	source, name, named := strings.Cut(part, ":")
	switch source {
	case "tenant", "user", "method", "path":
		return !named
	case "query":
		return name != ""
	case "header":
		return validFieldName(name)
	case "body":
		return name == "" && named || strings.HasPrefix(name, "/")
	}
	return false
}
