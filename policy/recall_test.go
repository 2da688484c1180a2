package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/recent"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// remember makes a watcher's host keep what ends.
func (w *watcher) remember() *recent.Log {
	l := recent.NewLog()
	w.host.recent, w.host.series = l, l.Adapter(w.host.Identity.Name)
	return l
}

func TestAnExchangeIsRememberedWithItsAttemptsAndWithoutSecrets(t *testing.T) {
	w := newWatcher(t, nil)
	l := w.remember()
	x := testExchange(t, "POST", "/orders?token=hunter2", `{"card":"4111"}`)
	x.Request.Fields.Add("Authorization", "Bearer hunter2")
	x.CorrelationID, x.Tenant, x.Operation, x.LetterID, x.LimitWait = "corr-1", "acme", "POST /orders", "letter-1", 250*time.Millisecond
	start := x.Start
	_, _ = w.stage(func(x *Exchange) (*wire.Response, error) {
		for i := range recent.MaxAttempts + 2 {
			x.Attempts = append(x.Attempts, dlq.Attempt{Number: i + 1, Start: start.Add(time.Duration(i) * time.Second), Duration: 20 * time.Millisecond, Status: 503, Sent: true})
		}
		p := problem.New(problem.UpstreamTimeout, "The external system did not answer within 30s.")
		return nil, p
	})(x)
	all := l.Exchanges()
	if len(all) != 1 {
		t.Fatalf("%d are remembered", len(all))
	}
	got := all[0]
	if got.Path != "/orders" || got.Status != 504 || got.ErrorType != "timeout" || got.Kind != "upstream-timeout" || got.AttemptsTotal != recent.MaxAttempts+2 ||
		len(got.Attempts) != recent.MaxAttempts || got.Attempts[2].Offset != 2000 || got.Attempts[2].Milliseconds != 20 || !got.Attempts[2].Sent || got.LimitWait != 250 ||
		got.Tenant != "acme" || got.LetterID != "letter-1" || got.Adapter != w.host.Identity.Name {
		t.Errorf("%+v", got)
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "4111") {
		t.Errorf("%s %v", text, err)
	}
	if s := l.Series(time.Now())[w.host.Identity.Name]; s.Total != 1 || s.Failures != 1 {
		t.Errorf("%+v", s)
	}
}

// What was only put on disk, or is made again, is shown, and no success or failure of the external system.
func TestWhatHasNotEndedIsNotCountedInTheSeries(t *testing.T) {
	w := newWatcher(t, nil)
	l := w.remember()
	for _, mark := range []func(*Exchange){func(x *Exchange) { x.Accepted = new(accepted.Exchange) }, func(x *Exchange) { x.Again = true }} {
		_, _ = w.stage(func(x *Exchange) (*wire.Response, error) {
			mark(x)
			return &wire.Response{Status: 202}, nil
		})(testExchange(t, "POST", "/orders", "{}"))
	}
	if s := l.Series(time.Now())[w.host.Identity.Name]; s.Total != 0 || len(l.Exchanges()) != 2 {
		t.Errorf("%+v, %d exchanges", s, len(l.Exchanges()))
	}
}

func TestWithoutALogNothingIsRemembered(t *testing.T) {
	w := newWatcher(t, nil)
	if _, err := w.stage(content(200))(testExchange(t, "GET", "/orders", "")); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkRecall measures what the status page costs a call.
func BenchmarkRecall(b *testing.B) {
	w := newWatcher(b, nil)
	w.remember()
	o := &observer{host: w.host, metrics: telemetry.NewMetrics("v", "c").Adapter("bench")}
	x := testExchange(b, "POST", "/orders?token=hunter2", "{}")
	x.Attempts = []dlq.Attempt{{Number: 1, Start: x.Start, Status: 201, Sent: true}}
	b.ReportAllocs()
	for b.Loop() {
		o.recall(x, 201, 20*time.Millisecond, nil, problem.TypeNone)
	}
}
