package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Letters = (*dlq.Spool)(nil)

// world is a sidecar of memory behind the admin API.
type world struct {
	letters    []*dlq.Letter
	asked      dlq.Filter
	visited    int
	replayed   []proxy.ReplayOptions
	breaker    proxy.BreakerStatus
	failure    error // of everything that can fail
	unrecorded error // of a replay that was sent
	health     string
	checks     map[string]proxy.HealthCheck
	ready      bool
	draining   atomic.Bool
	log        logBuffer
}

// logBuffer is what was logged. The server writes to it while the test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) Status() proxy.Status {
	return proxy.Status{Version: "1.2.3", Ready: w.ready, Draining: w.draining.Load(), Adapters: []proxy.AdapterStatus{{Name: "sales-system", ID: "sales-1", Breaker: w.breaker}}}
}

func (w *world) Health() proxy.Health {
	return proxy.Health{Status: w.health, Checks: w.checks, Version: "1.2.3", Timestamp: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)}
}
func (w *world) Ready() bool { return w.ready }

func (w *world) SetBreaker(adapter string, action proxy.BreakerAction) error {
	if adapter != "sales-system" {
		return proxy.ErrUnknownAdapter
	}
	w.breaker = proxy.BreakerStatus{State: map[proxy.BreakerAction]string{proxy.BreakerOpen: "open"}[action], Manual: true}
	return w.failure
}

func (w *world) Replay(ctx context.Context, id string, o proxy.ReplayOptions) (proxy.ReplayResult, error) {
	if _, err := w.Get(id); err != nil {
		return proxy.ReplayResult{}, err
	}
	if ctx.Done() != nil {
		return proxy.ReplayResult{}, errors.New("a replay must not end with its client")
	}
	if w.failure != nil {
		return proxy.ReplayResult{}, w.failure
	}
	w.replayed = append(w.replayed, o)
	return proxy.ReplayResult{ID: id, Result: "replayed", Status: 201}, w.unrecorded
}

func (w *world) DryRun(_ context.Context, l *dlq.Letter, o proxy.ReplayOptions) proxy.ReplayResult {
	w.replayed = append(w.replayed, o)
	return proxy.ReplayResult{ID: l.ID, Result: "would-send"}
}

func (w *world) Adopt(_ context.Context, l *dlq.Letter, _ string) (bool, error) {
	if _, err := w.Get(l.ID); err == nil {
		return false, nil
	}
	w.letters = append(w.letters, l)
	return true, w.failure
}

func (w *world) Get(id string) (*dlq.Letter, error) {
	for _, l := range w.letters {
		if l.ID == id {
			return l, nil
		}
	}
	return nil, dlq.ErrNotFound
}

func (w *world) Each(f dlq.Filter, visit func(*dlq.Letter) bool) error {
	w.asked, w.visited = f, 0
	for _, l := range w.letters {
		if w.visited++; !visit(l) {
			break
		}
	}
	return w.failure
}

func (w *world) Discard(_ context.Context, id, _ string) error {
	if _, err := w.Get(id); err != nil {
		return err
	}
	return w.failure
}

func letter(id string) *dlq.Letter {
	return &dlq.Letter{ID: id, State: dlq.Dead,
		OriginalMessage: dlq.Message{Method: "POST", URL: "https://sales.example.com/orders?card=4111", Body: []byte(`{"secret":"body"}`),
			Headers: dlq.Headers{{Name: "Content-Type", Value: "application/json"}}},
		Error:    dlq.Failure{Message: "status 503", Code: "503", Type: problem.TypeServerError},
		Metadata: dlq.Metadata{Adapter: "sales-system", Attempts: 4, Created: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)}}
}

func newWorld() *world {
	return &world{letters: []*dlq.Letter{letter("a"), letter("b"), letter("c")}, ready: true, health: "healthy"}
}

func (w *world) handler(reload func(context.Context) error) http.Handler {
	c := w.config()
	c.Reload = reload
	return New(c)
}

func (w *world) config() Config {
	return Config{Controller: w, Letters: w, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Hosts: []string{"ops.example.com"}}
}

// ask sends one request as curl on the same machine would.
func ask(h http.Handler, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:9901"
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != problem.ContentType || p.Status != w.Code {
		t.Fatalf("not a problem: %d %s %s", w.Code, w.Header(), w.Body)
	}
	return p
}
