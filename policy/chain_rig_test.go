package policy

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// rig is a whole chain with real stores, in front of a scripted external system.
type rig struct {
	t     testing.TB
	next  Next
	host  *Host
	deps  Deps
	spool *dlq.Spool
	keys  *idempotency.Embedded
}

// quick are the test settings with delays of a millisecond, and the edits of the test.
func quick(edits ...func(*Settings)) *Settings {
	s := testSettings()
	s.Retry.InitialDelay, s.Retry.MaxDelay = units.Duration(time.Millisecond), units.Duration(time.Millisecond)
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func honoured(s *Settings)   { s.Idempotency.Honoured = true }
func retryOff(s *Settings)   { s.Retry = nil }
func breakerOff(s *Settings) { s.Host.Breaker = nil }

func newRig(t testing.TB, url string, s *Settings) *rig {
	t.Helper()
	r := &rig{t: t, spool: openSpool(t, 0), keys: openKeys(t, nil), host: testHost(t, url, s)}
	r.deps = Deps{Keys: r.keys, Letters: r.spool, Secrets: secret.NewResolver(), Metrics: telemetry.NewMetrics("v", "c"),
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	next, err := Compile(s, r.host, r.deps)
	if err != nil {
		t.Fatal(err)
	}
	r.next = next
	return r
}

// exchange is a call as the proxy hands it over; fields are name, value, ….
func (r *rig) exchange(method, target, body string, fields ...string) *Exchange {
	x := &Exchange{Ctx: r.t.Context(), Start: time.Now(), Adapter: r.host.Identity, Target: target, CorrelationID: "corr-1",
		Request: wire.Request{Method: method, Target: r.host.Identity.Base + target}}
	if body != "" {
		x.Request.Body.Bytes = []byte(body)
	}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Fields.Add(fields[i], fields[i+1])
	}
	return x
}

// answer is a response read to its end.
type answer struct {
	x      *Exchange
	status int
	fields wire.Fields
	body   string
	err    error
	broken error // while the body was read
}

func (r *rig) run(x *Exchange) answer {
	resp, err := r.next(x)
	a := answer{x: x, err: err}
	if err != nil {
		return a
	}
	a.status, a.fields, a.body = resp.Status, resp.Fields, string(resp.Content)
	if resp.Stream != nil {
		b, err := io.ReadAll(resp.Stream)
		a.body, a.broken = string(b), err
	}
	resp.Close()
	return a
}

func (r *rig) call(method, target, body string, fields ...string) answer {
	return r.run(r.exchange(method, target, body, fields...))
}

// pemFile writes PEM text to a file and returns a reference to it.
func pemFile(t testing.TB, name string, pem []byte) secret.Ref {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return secret.Ref("file:" + path)
}
