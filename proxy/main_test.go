package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anyPort is the shared listener of the tests; the system picks the port.
const anyPort = "127.0.0.1:0"

// rig is a proxy that serves, with real stores.
type rig struct {
	t      testing.TB
	server *Server
	deps   policy.Deps
	log    *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newRig has stores and a server that serves nothing yet; edit (nil: none) may change what it is made of.
func newRig(t testing.TB, edit func(*policy.Deps)) *rig {
	t.Helper()
	spool, err := dlq.Open(dlq.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := idempotency.OpenEmbedded(filepath.Join(t.TempDir(), "keys.db"), idempotency.EmbeddedOptions{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	held, err := accepted.Open(accepted.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, log: &safeBuffer{}}
	r.deps = policy.Deps{Keys: keys, Letters: spool, Accepted: held, Secrets: secret.NewResolver(), Metrics: telemetry.NewMetrics("v1", "c1"),
		Log: slog.New(slog.NewJSONHandler(r.log, nil))}
	if edit != nil {
		edit(&r.deps)
	}
	r.server = New(r.deps, "v1")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		_ = held.Close()
		_ = keys.Close()
		_ = spool.Close()
	})
	return r
}

// document reads adapters, in YAML, as the file would have them.
func document(t testing.TB, adapters string) *config.Document {
	t.Helper()
	doc, err := config.Parse("test.yaml", []byte("listen: { proxy: \""+anyPort+"\" }\nadapters:\n"+adapters))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// serve runs a proxy with these adapters.
func serve(t testing.TB, adapters string) *rig {
	t.Helper()
	r := newRig(t, nil)
	if err := r.server.Use(document(t, adapters)); err != nil {
		t.Fatal(err)
	}
	return r
}

// erp is an adapter without retries; more are lines of YAML of its own.
func erp(upstream string, more ...string) string {
	lines := append([]string{"id: erp-main", "version: 1.2.3", "upstream: " + upstream, "retry: off"}, more...)
	return "  erp:\n    " + strings.Join(lines, "\n    ") + "\n"
}

func (r *rig) addr() string { return r.server.Address("").String() }

// call sends one request on a connection of its own, byte for byte as target is, and returns the answer read whole.
func (r *rig) call(method, target, body string, fields ...string) answer {
	r.t.Helper()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: sidecar.test\r\nConnection: close\r\n", method, target)
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	for i := 0; i < len(fields); i += 2 {
		head += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	return r.raw(r.addr(), method, head+"\r\n"+body)
}

type answer struct {
	*http.Response
	body string
	err  error // while the body was read
}

func (r *rig) raw(addr, method, text string) answer {
	r.t.Helper()
	conn := dial(r.t, addr)
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{err: err, Response: &http.Response{Header: http.Header{}}}
	}
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), err}
}

// dial opens a connection that cannot outlive patience: a test that waits for its end must not wait for ever.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *rig) letters() []*dlq.Letter {
	r.t.Helper()
	list, err := r.deps.Letters.List(dlq.Filter{}, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}
