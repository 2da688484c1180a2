package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/proxy"
)

type fakeKey struct{}

// fake is a sidecar of memory behind a real admin listener.
type fake struct {
	mu      sync.Mutex
	status  proxy.Status
	letters []*dlq.Letter
	sink    []*dlq.Letter                 // in Kafka
	replies map[string]proxy.ReplayResult // by id; else replayed with 201
	calls   []string
}

func startFake(ts *testscript.TestScript, _ bool, _ []string) {
	f := ts.Value(fakeKey{}).(*fake)
	f.status, f.letters, f.sink, f.replies, f.calls = proxy.Status{}, nil, nil, nil, nil
	for name, into := range map[string]any{"status.json": &f.status, "letters.json": &f.letters, "sink.json": &f.sink, "replies.json": &f.replies} {
		content, err := os.ReadFile(ts.MkAbs(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		ts.Check(err)
		ts.Check(json.Unmarshal(content, into))
	}
	level := new(telemetry.Level)
	ts.Defer(func() { level.Override(0, 0) })
	door := httptest.NewServer(admin.New(admin.Config{Controller: f, Letters: f, Sink: f.asSink(), Log: slog.New(slog.DiscardHandler), Level: level}))
	probes := httptest.NewServer(admin.Probes(f, http.NotFoundHandler()))
	ts.Defer(door.Close)
	ts.Defer(probes.Close)
	ts.Setenv("SIDECAR_ADMIN", strings.TrimPrefix(door.URL, "http://"))
	ts.Setenv("SIDECAR_PROBES", strings.TrimPrefix(probes.URL, "http://"))
}

// asSink is a Kafka that has the letters of sink.json; nil without that file.
func (f *fake) asSink() *admin.Sink {
	if f.sink == nil {
		return nil
	}
	return &admin.Sink{Name: "kafka", Read: func(_ context.Context, filter dlq.Filter, visit func(*dlq.Letter) bool) error {
		for _, l := range f.sink {
			if filter.Matches(l) && !visit(l) {
				break
			}
		}
		return nil
	}}
}

func (f *fake) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// told is one line for each thing the fake was told to change, and forgets it.
func (f *fake) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, call := range f.calls {
		b.WriteString(call + "\n")
	}
	f.calls = nil
	return b.String()
}

func (f *fake) Status() proxy.Status { return f.status }
func (f *fake) Health() proxy.Health { return proxy.Health{Status: "healthy"} }
func (f *fake) Ready() bool          { return f.status.Ready }

func (f *fake) SetBreaker(name string, action proxy.BreakerAction) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.status.Adapters, func(a proxy.AdapterStatus) bool { return a.Name == name })
	if i < 0 {
		return proxy.ErrUnknownAdapter
	}
	b := &f.status.Adapters[i].Breaker
	if b.State == "off" {
		return proxy.ErrBreakerOff
	}
	f.note("breaker %s %s", action, name)
	*b = proxy.BreakerStatus{State: "closed"}
	if action == proxy.BreakerOpen {
		*b = proxy.BreakerStatus{State: "open", Manual: true}
	}
	return nil
}

func (f *fake) Replay(_ context.Context, id string, o proxy.ReplayOptions) (proxy.ReplayResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.get(id)
	if err != nil {
		return proxy.ReplayResult{}, err
	}
	run := ""
	if o.Run != "" && !strings.HasPrefix(o.Run, "run-") { // but one that the command made up
		run = " run=" + o.Run
	}
	f.note("replay %s who=%s force=%v dry_run=%v%s", id, o.Who, o.Force, o.DryRun, run)
	if r, ok := f.replies["dry "+id]; ok && o.DryRun {
		r.ID = id
		return r, nil
	}
	if o.DryRun {
		return proxy.ReplayResult{ID: id, Result: "would-send"}, nil
	}
	if r, ok := f.replies[id]; ok {
		r.ID = id
		if !r.Retryable {
			l.Audit = append(l.Audit, dlq.Audit{Action: dlq.ActionReplay, Run: o.Run})
		}
		return r, nil
	}
	l.State = dlq.Replayed
	l.Audit = append(l.Audit, dlq.Audit{Action: dlq.ActionReplay, Run: o.Run})
	return proxy.ReplayResult{ID: id, Result: "replayed", Status: 201, Attempts: 1}, nil
}

func (f *fake) DryRun(_ context.Context, l *dlq.Letter, _ proxy.ReplayOptions) proxy.ReplayResult {
	return proxy.ReplayResult{ID: l.ID, Result: "would-send"}
}

func (f *fake) Adopt(_ context.Context, l *dlq.Letter, who string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.get(l.ID); err == nil {
		return false, nil
	}
	f.note("adopt %s who=%s", l.ID, who)
	f.letters = append(f.letters, l)
	return true, nil
}

func (f *fake) Get(id string) (*dlq.Letter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.get(id)
}

func (f *fake) get(id string) (*dlq.Letter, error) {
	for _, l := range f.letters {
		if l.ID == id {
			return l, nil
		}
	}
	return nil, dlq.ErrNotFound
}

func (f *fake) Each(filter dlq.Filter, visit func(*dlq.Letter) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.letters {
		if filter.Matches(l) && !visit(l) {
			break
		}
	}
	return nil
}

func (f *fake) Discard(_ context.Context, id, who string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.get(id)
	if err != nil {
		return err
	}
	f.note("discard %s who=%s", id, who)
	l.State = dlq.Discarded
	return nil
}
