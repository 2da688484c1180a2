package policy

import (
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
)

// Health are active checks of the external system.
type Health struct {
	Path     string         `yaml:"path" default:"/health" doc:"Path and query asked below the upstream."`
	Method   string         `yaml:"method" default:"GET" enum:"GET,HEAD" doc:"Method of the check."`
	Expect   []string       `yaml:"expect" default:"2xx" pattern:"^([1-5]xx|[1-5][0-9][0-9])$" doc:"Answers that mean well, by status or class of statuses. 429 says nothing, unless it is listed."`
	Interval units.Duration `yaml:"interval" default:"30s" min:"1s" max:"24h" doc:"Time between checks, give or take a tenth. Retry-After of a 429 or 503 lengthens it."`
	Timeout  units.Duration `yaml:"timeout" default:"5s" min:"1ms" max:"10m" doc:"Longest wait for an answer."`
	Auth     bool           `yaml:"auth" default:"false" doc:"true sends the adapter's credentials with the check."`
}

func (c *Health) check(r Report) {
	switch path, _, _ := strings.Cut(c.Path, "?"); {
	case !strings.HasPrefix(c.Path, "/"):
		r.Fault("health.path", "does not begin with /")
	case strings.Contains(path, "..") || strings.IndexFunc(c.Path, func(b rune) bool { return b <= ' ' || b > '~' || b == '#' || b == '\\' }) >= 0:
		r.Fault("health.path", "holds a character or a segment that cannot stand in a path")
	}
	if c.Timeout > c.Interval {
		r.Fault("health.timeout", "is longer than health.interval ("+c.Interval.String()+")")
	}
}

// CheckAuthFault says why the checks of an adapter with these settings cannot have credentials; "" when they can, or want
// none. An operation may have others: checks are the adapter's.
func (s *Settings) CheckAuthFault() string {
	switch {
	case s.Host.Health == nil || !s.Host.Health.Auth:
		return ""
	case s.Auth == nil:
		return "there are no credentials to send: auth is off"
	case slices.ContainsFunc(s.Auth.refs(), func(ref secret.Ref) bool { return strings.Contains(string(ref), "{tenant}") }):
		return "a check belongs to no tenant, and the credentials depend on it ({tenant})"
	}
	return ""
}

// refs are what the credentials are made from: secrets, and the client id of OAuth2.
func (a *Auth) refs() []secret.Ref {
	_, ref, _ := a.compile()
	if a.OAuth2 != nil {
		return []secret.Ref{ref, secret.Ref(a.OAuth2.ClientID)}
	}
	return []secret.Ref{ref}
}

// Verdict is what the checks of an external system came to.
type Verdict uint8

// The verdicts.
const (
	Unchecked Verdict = iota // no check has said anything yet
	Up
	Down
)

// String is unchecked, up or down.
func (v Verdict) String() string { return [...]string{"unchecked", "up", "down"}[v] }

// CheckState is how the checks stand. The zero value is that of checks that have not begun.
type CheckState struct {
	Verdict Verdict
	Since   time.Time // of the verdict
	At      time.Time // when the last check ended
	Took    time.Duration
	Status  int           // of its answer; 0 when there was none
	Why     string        // what was wrong with it; "" when nothing was
	Wait    time.Duration // that the external system asked for, until the next
}

// checks is what is remembered of the checks of one system, over reloads that do not change them.
type checks struct {
	settings Health
	state    atomic.Pointer[CheckState]
}

// deriveChecks keeps what is known as long as the same question is asked of the same system.
func deriveChecks(c HostConfig, earlier *Host) *checks {
	s := c.Settings.Host.Health
	if s == nil {
		return nil
	}
	if earlier != nil && earlier.checks != nil && earlier.upstream == c.Upstream.String() && reflect.DeepEqual(earlier.checks.settings, *s) {
		return earlier.checks
	}
	fresh := &checks{settings: *s}
	fresh.state.Store(new(CheckState))
	return fresh
}

// Checked is how the active checks stand; false when there are none.
func (h *Host) Checked() (CheckState, bool) {
	if h.checks == nil {
		return CheckState{}, false
	}
	return *h.checks.state.Load(), true
}

// SameChecks reports whether two hosts go on with the same checks.
func (h *Host) SameChecks(other *Host) bool { return h.checks == other.checks }

// CheckEvery is the configured time between checks.
func (h *Host) CheckEvery() time.Duration { return h.checks.settings.Interval.D() }
