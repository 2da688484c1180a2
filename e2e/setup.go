package e2e

import (
	"fmt"
	"strings"
)

// Setup is the configuration of one sidecar. Text is YAML without indentation.
type Setup struct {
	Adapters  string   // the adapters block; Adapter writes one
	Defaults  string   // the defaults block; empty: short delays and a breaker that does not interfere
	DLQ       string   // more keys of the dlq block, beside dir
	Top       string   // more keys of the document
	LogLevel  string   // empty: info
	Telemetry string   // more keys of the telemetry block, each followed by a comma
	Env       []string // NAME=value, beside PATH and HOME
	Dir       string   // working folder; empty: one that the test removes
	Proxy     string   // address of the proxy listener; empty: a free one
	Config    string   // file given to --config; empty: sidecar.yaml in Dir, which Start writes
	Command   []string // what is started; empty: the binary with run --config
}

// quickDefaults shorten every delay. A breaker of 1000 failures stays out of the way of tests that are not about it.
const quickDefaults = `timeout: { attempt: 5s, total: 20s, connect: 2s }
retry: { max_retries: 2, initial_delay: 10ms, max_delay: 50ms, jitter_factor: 0 }
breaker: { failure_threshold: 1000 }`

// Adapter writes one adapter of the adapters block; each part of policies is YAML without indentation.
func Adapter(name, upstream string, policies ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n  upstream: %s\n", name, upstream)
	for _, p := range policies {
		b.WriteString(indent(p))
	}
	return b.String()
}

// indent moves YAML one level to the right.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}

// document renders the configuration of s.
func (s *Sidecar) document(c Setup) string {
	level, defaults := c.LogLevel, c.Defaults
	if level == "" {
		level = "info"
	}
	if defaults == "" {
		defaults = quickDefaults
	}
	return fmt.Sprintf("listen: { proxy: %s, admin: %s, probes: %s }\n", s.Proxy, s.Admin, s.Probes) +
		"telemetry: { " + c.Telemetry + " log_level: " + level + " }\n" +
		strings.TrimSpace(c.Top) + "\n" +
		"dlq:\n  dir: " + s.SpoolDir() + "\n" + indent(c.DLQ) +
		"defaults:\n" + indent(defaults) +
		"adapters:\n" + indent(c.Adapters)
}
