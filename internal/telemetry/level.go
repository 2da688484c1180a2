package telemetry

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Level is the least level that is logged: the configuration's, or for a while another one that an operator asked for.
// It may change while in use.
type Level struct {
	now atomic.Int64 // a slog.Level

	mu         sync.Mutex
	configured slog.Level
	until      time.Time   // end of the operator's; zero when there is none
	end        *time.Timer // of until
}

// LevelState is a Level at one time.
type LevelState struct {
	Level      string    `json:"level"`
	Configured string    `json:"configured"`
	Until      time.Time `json:"until,omitzero"` // when the configured one is back
}

// Level implements slog.Leveler.
func (l *Level) Level() slog.Level { return slog.Level(l.now.Load()) }

// Configure sets the configuration's level. An operator's stays until its time is over.
func (l *Level) Configure(level slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.configured = level; l.until.IsZero() {
		l.now.Store(int64(level))
	}
}

// Override sets another level for d. With d 0 the configured one is back at once.
func (l *Level) Override(level slog.Level, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end.Stop()
	}
	if l.end, l.until = nil, (time.Time{}); d <= 0 {
		l.now.Store(int64(l.configured))
		return
	}
	until := time.Now().Add(d)
	l.until = until
	l.now.Store(int64(level))
	l.end = time.AfterFunc(d, func() { l.restore(until) })
}

// restore ends the override of that end; a later one goes on.
func (l *Level) restore(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.Equal(until) {
		l.end, l.until = nil, time.Time{}
		l.now.Store(int64(l.configured))
	}
}

// State is how it stands.
func (l *Level) State() LevelState {
	l.mu.Lock()
	defer l.mu.Unlock()
	word := func(level slog.Level) string { return strings.ToLower(level.String()) }
	return LevelState{Level: word(l.Level()), Configured: word(l.configured), Until: l.until}
}
