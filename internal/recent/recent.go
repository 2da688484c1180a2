// Package recent remembers what happened a moment ago, for whoever looks at the status page: the last exchanges, and
// per adapter a quarter of an hour of successes, failures and latencies.
//
// Everything is bounded and kept in memory only. It holds what the log line of an exchange holds and nothing more: no
// body, no query value, no credential. Writing costs a call well under a microsecond (see BenchmarkNote).
package recent

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Exchange is one exchange that has ended.
type Exchange struct {
	Number        uint64    `json:"number"` // counts the exchanges of this process
	Start         time.Time `json:"start"`
	Milliseconds  float64   `json:"duration_ms"`
	Adapter       string    `json:"adapter"` // name in the configuration
	AdapterID     string    `json:"adapter_id"`
	Operation     string    `json:"operation,omitempty"`
	Method        string    `json:"method"`
	Path          string    `json:"path"`   // without the query
	Status        int       `json:"status"` // 0: the application went away
	ErrorType     string    `json:"error_type,omitempty"`
	Kind          string    `json:"kind,omitempty"`   // of the sidecar's own answer
	Detail        string    `json:"detail,omitempty"` // what that answer says
	Attempts      []Attempt `json:"attempts"`         // the first MaxAttempts of them
	AttemptsTotal int       `json:"attempts_total"`
	LimitWait     float64   `json:"limit_wait_ms,omitempty"` // spent waiting for tokens
	RetriesEnded  string    `json:"retries_ended,omitempty"` // why a retry that was allowed was not made
	Idempotency   string    `json:"idempotency,omitempty"`   // outcome of the key
	CorrelationID string    `json:"correlation_id"`
	TraceID       string    `json:"trace_id,omitempty"`
	Tenant        string    `json:"tenant_id,omitempty"`
	LetterID      string    `json:"letter_id,omitempty"`
	ExchangeID    string    `json:"exchange_id,omitempty"` // of one that was accepted
	Replay        bool      `json:"replay,omitempty"`
	Accepted      bool      `json:"accepted,omitempty"` // answered 202; nothing was sent yet
	Async         bool      `json:"async,omitempty"`    // a try of one that was accepted before
	PutBack       bool      `json:"put_back,omitempty"` // it came to nothing and is made again
	Unknown       bool      `json:"outcome_unknown,omitempty"`
	LetterLost    bool      `json:"letter_lost,omitempty"`
}

// Attempt is one try upstream.
type Attempt struct {
	Offset       float64 `json:"offset_ms"` // from the start of the exchange
	Milliseconds float64 `json:"duration_ms"`
	Status       int     `json:"status,omitempty"`
	Error        string  `json:"error,omitempty"`
	Sent         bool    `json:"sent"`
}

// Bounds. With MaxAttempts long attempts each, both rings together stay below one megabyte.
const (
	Ring        = 100 // exchanges in each of the two rings
	MaxAttempts = 12
	maxText     = 256
	maxError    = 160
)

// Log remembers. All methods are safe for concurrent use, and on nil, which remembers nothing.
type Log struct {
	all     ring // whatever ended last
	trouble ring // what failed, or took more than one attempt: traffic that is fine must not push it out

	numbers  atomic.Uint64
	mu       sync.Mutex
	adapters map[string]*Adapter
}

type ring struct {
	next  atomic.Uint64
	slots [Ring]atomic.Pointer[Exchange]
}

func (r *ring) put(x *Exchange) { r.slots[(r.next.Add(1)-1)%Ring].Store(x) }

// NewLog returns an empty log.
func NewLog() *Log { return &Log{adapters: map[string]*Adapter{}} }

// Note remembers x, which must not change any more. It shortens texts that are longer than anybody reads, and copies
// those that are parts of larger ones.
func (l *Log) Note(x *Exchange) {
	if l == nil {
		return
	}
	x.Number = l.numbers.Add(1)
	x.Method, x.Path = method(x.Method), keep(x.Path, maxText)
	x.CorrelationID, x.Tenant = brief(x.CorrelationID, maxText), brief(x.Tenant, maxText)
	x.Detail = brief(x.Detail, maxText)
	l.all.put(x)
	if x.ErrorType != "" || x.AttemptsTotal > 1 || x.LetterLost {
		l.trouble.put(x)
	}
}

// Last is the number of the newest exchange; 0 before the first.
func (l *Log) Last() uint64 {
	if l == nil {
		return 0
	}
	return l.numbers.Load()
}

// Exchanges returns what is remembered, newest first: the last Ring exchanges, and beyond them the last Ring that
// failed or were tried more than once.
func (l *Log) Exchanges() []*Exchange {
	out := []*Exchange{}
	if l == nil {
		return out
	}
	for _, r := range []*ring{&l.all, &l.trouble} {
		for i := range r.slots {
			if x := r.slots[i].Load(); x != nil {
				out = append(out, x)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Exchange) int { return cmp.Compare(b.Number, a.Number) })
	return slices.CompactFunc(out, func(a, b *Exchange) bool { return a.Number == b.Number })
}

// method is a copy of a method's name: the one of a request holds on to its whole first line, query and all.
func method(name string) string {
	for _, known := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
		if name == known {
			return known
		}
	}
	return keep(name, 32)
}

// keep copies at most n bytes of a text that is part of a larger one.
func keep(s string, n int) string { return strings.Clone(brief(s, n)) }

// brief cuts a text that is too long, at a whole character.
func brief(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// Error is the text of an attempt's error as Attempt keeps it.
func Error(s string) string { return brief(s, maxError) }
