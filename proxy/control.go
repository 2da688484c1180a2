package proxy

import (
	"context"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/secret"
)

// Status is what `sidecar status` and the admin API show of the running process.
type Status struct {
	Version  string          `json:"version"`
	Started  time.Time       `json:"started"`
	Ready    bool            `json:"ready"`
	Draining bool            `json:"draining"`
	Adapters []AdapterStatus `json:"adapters"`
	Spool    SpoolStatus     `json:"spool"`
	Accepted *AcceptedStatus `json:"accepted,omitempty"` // nil: nothing was accepted and nothing can be
	Redis    *RedisStatus    `json:"redis,omitempty"`    // nil: this sidecar shares nothing
	Sink     *SinkStatus     `json:"sink,omitempty"`     // nil: letters are not forwarded
	Vault    *VaultStatus    `json:"vault,omitempty"`    // nil: no secrets come from Vault
	Reload   ReloadStatus    `json:"reload"`
}

// AdapterStatus is one adapter as it stands now.
type AdapterStatus struct {
	Name       string         `json:"name"`
	ID         string         `json:"id"`
	Version    string         `json:"version"`
	Upstream   string         `json:"upstream"` // without user info and query
	Listen     string         `json:"listen,omitempty"`
	Health     string         `json:"health"`  // pass, warn, fail
	Message    string         `json:"message"` // why it is not pass
	Breaker    BreakerStatus  `json:"breaker"`
	Limiter    *LimiterStatus `json:"limiter,omitempty"`
	InFlight   int            `json:"in_flight"`
	OpenLetter int            `json:"open_letters"`
	Secrets    []secret.Ref   `json:"secrets,omitempty"` // references, as configured
	Check      *CheckStatus   `json:"check,omitempty"`   // nil: no active checks
	Totals     Totals         `json:"totals"`
}

// Totals are counted since the start of the process, as the metrics count them.
type Totals struct {
	Succeeded    int64 `json:"succeeded"` // exchanges
	Failed       int64 `json:"failed"`
	Retries      int64 `json:"retries"`
	LettersKept  int64 `json:"letters_kept"`
	LettersLost  int64 `json:"letters_lost"`
	BreakerOpens int64 `json:"breaker_opens"`
}

// CheckStatus is how the active checks of an adapter stand.
type CheckStatus struct {
	State   string     `json:"state"`           // unchecked, up, down
	Since   *time.Time `json:"since,omitempty"` // of the state
	At      *time.Time `json:"at,omitempty"`    // of the last check
	Latency float64    `json:"latency"`         // of the last check, in milliseconds
	Status  int        `json:"status,omitempty"`
	Message string     `json:"message,omitempty"` // what was wrong with the last check
}

// BreakerStatus is the state of one breaker.
type BreakerStatus struct {
	State      string `json:"state"` // closed, half-open, open, off
	Failures   int    `json:"failures"`
	RetryAfter string `json:"retry_after,omitempty"` // of an open one, until it probes
	Manual     bool   `json:"manual,omitempty"`      // opened by hand: stays so until closed or reset by hand

	Since *time.Time `json:"since,omitempty"` // when it was closed last, if it is not
}

// LimiterStatus is the fill of one bucket.
type LimiterStatus struct {
	Capacity int     `json:"capacity"`
	Rate     float64 `json:"rate_per_second"`
	Tokens   float64 `json:"tokens"` // of per: tenant, the emptiest tenant's
	Tenants  int     `json:"tenants,omitempty"`
}

// SpoolStatus is the spool of letters.
type SpoolStatus struct {
	Letters  map[string]int `json:"letters"` // by state
	Bytes    int64          `json:"bytes"`
	MaxBytes int64          `json:"max_bytes"`
	Oldest   *time.Time     `json:"oldest,omitempty"` // of the open letters
	Lost     int            `json:"lost"`             // letters the spool could not take since the sidecar started
	LastLost *time.Time     `json:"last_lost,omitempty"`
	Failing  string         `json:"failing,omitempty"` // why it could not take the last one
}

// AcceptedStatus are the exchanges that were answered 202.
type AcceptedStatus struct {
	Waiting  int        `json:"waiting"`
	Running  int        `json:"running"`
	Oldest   *time.Time `json:"oldest,omitempty"` // when the oldest of them was accepted
	Bytes    int64      `json:"bytes"`            // with those whose end is still kept
	MaxBytes int64      `json:"max_bytes"`
	Damaged  int        `json:"damaged,omitempty"` // could not be read and were set aside since the sidecar started
	Failing  string     `json:"failing,omitempty"` // why the last call could not be accepted

	Uncopied  int   `json:"uncopied,omitempty"`   // of those that wait or run, how many have no copy in Redis; 0 without a Redis
	TakenOver int64 `json:"taken_over,omitempty"` // that came from sidecars that were gone, since the sidecar started
	Lost      int64 `json:"lost,omitempty"`       // that others took over from here
}

// RedisStatus is the Redis that the sidecars of an application share.
type RedisStatus struct {
	Up      bool       `json:"up"` // false: limits are local, and keys as each adapter's idempotency.store says
	Since   *time.Time `json:"since,omitempty"`
	Why     string     `json:"why,omitempty"`     // the last failure of a Redis that is down
	Warning string     `json:"warning,omitempty"` // what is wrong with its settings
	Keys    KeysStatus `json:"keys"`
}

// VaultStatus is the Vault that secrets come from.
type VaultStatus struct {
	Up            bool       `json:"up"` // false: what is known of it stays in use for vault.stale_for
	Since         *time.Time `json:"since,omitempty"`
	Why           string     `json:"why,omitempty"`           // the last failure
	Login         string     `json:"login"`                   // such as kubernetes role sidecar
	TokenExpires  *time.Time `json:"token_expires,omitempty"` // absent: never, or there is no token yet
	Secrets       int        `json:"secrets"`                 // paths that are kept
	OldestSeconds float64    `json:"oldest_seconds"`          // age of the oldest secret that was used within the last ttl
	Address       string     `json:"address"`
	Namespace     string     `json:"namespace,omitempty"`
	Mount         string     `json:"mount"`
	TTL           string     `json:"ttl"`
}

// SinkStatus is how letters are forwarded to Kafka or a Redis stream.
type SinkStatus struct {
	Sink         string     `json:"sink"`      // such as Kafka topic integration.dlq
	Forwarded    uint64     `json:"forwarded"` // letters, and changes of letters, since the start
	Refused      uint64     `json:"refused"`   // letters the sink will never take
	Failures     uint64     `json:"failures"`  // batches that could not be forwarded
	Waiting      int        `json:"waiting"`
	Lag          string     `json:"lag"` // age of the oldest that waits
	FailingSince *time.Time `json:"failing_since,omitempty"`
	LastError    string     `json:"last_error,omitempty"`

	lag time.Duration
}

// KeysStatus are the idempotency keys that this sidecar deals with.
type KeysStatus struct {
	InFlight int   `json:"in_flight"`
	Pending  int   `json:"pending"` // outcomes that Redis has not taken yet
	Lost     int64 `json:"lost"`    // outcomes that Redis did not take in time, since the start
}

// ReloadStatus is the last time the configuration was loaded.
type ReloadStatus struct {
	File    string    `json:"file"`
	Time    time.Time `json:"time"`
	Success bool      `json:"success"`
	Error   string    `json:"error,omitempty"` // the faults, one a line
}

// Health is the specification's checkHealth.
type Health struct {
	Status    string                 `json:"status"` // healthy, degraded, unhealthy
	Checks    map[string]HealthCheck `json:"checks"`
	Version   string                 `json:"-"`
	Timestamp time.Time              `json:"timestamp"`
}

// HealthCheck is one adapter's part of Health.
type HealthCheck struct {
	Status   string    `json:"status"`  // pass, warn, fail
	Latency  float64   `json:"latency"` // milliseconds of the last attempt, or of the last check after it
	Message  string    `json:"message"`
	Observed time.Time `json:"-"` // when that ended; zero: never
	Shared   bool      `json:"-"` // of all adapters, and so without a latency
}

// BreakerAction is a manual control of a breaker.
type BreakerAction string

// The manual controls.
const (
	BreakerOpen  BreakerAction = "open"
	BreakerClose BreakerAction = "close"
	BreakerReset BreakerAction = "reset" // closed, with its counts forgotten
)

// ReplayOptions say how a letter is replayed.
type ReplayOptions struct {
	Who      string // for the audit
	Run      string // name of the run it is part of, for the audit; "" of none
	Force    bool   // send what could take effect twice; the provider is not asked before
	DryRun   bool   // only say whether it would be sent
	FromSink bool   // of a dry run: the letter was read from the sink, where other sidecars may read it too

	auto bool // the sidecar does it by itself
}

// ReplayResult is what came of one replay.
type ReplayResult struct {
	ID       string `json:"id"`
	Result   string `json:"result"`           // replayed, resolved, refused, failed, would-send, would-resolve
	Status   int    `json:"status,omitempty"` // of the external system's last answer
	Reason   string `json:"reason,omitempty"`
	Attempts int    `json:"attempts,omitempty"`

	Retryable bool `json:"retryable,omitempty"` // refused for now: nothing is wrong with the letter
}

// Controller is what the operator's side door may do to the running sidecar. *Server implements it.
type Controller interface {
	Status() Status
	Health() Health
	Ready() bool
	SetBreaker(adapter string, action BreakerAction) error // ErrUnknownAdapter, ErrBreakerOff
	Replay(ctx context.Context, letterID string, o ReplayOptions) (ReplayResult, error)
	DryRun(ctx context.Context, letter *dlq.Letter, o ReplayOptions) ReplayResult // what Replay would do with a letter, which need not be in the spool
}
