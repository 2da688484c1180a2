package upstream_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// witness is a test that notes its failures instead of failing, and runs its cleanups on demand.
type witness struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (w *witness) Helper()          {}
func (w *witness) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }
func (w *witness) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *witness) end() string {
	for _, f := range w.cleanups {
		f()
	}
	return strings.Join(w.failures, "; ")
}

func TestMissingRequestFailsTheTest(t *testing.T) {
	w := &witness{TB: t}
	u := upstream.Script(w, upstream.OK("a"), upstream.Status(503), upstream.Hang())
	if _, _, err := get(t, newClient(t, nil), u.URL()); err != nil {
		t.Fatal(err)
	}
	if got := w.end(); !strings.Contains(got, "2 of 3 steps were never asked for: [Status(503) Hang]") {
		t.Errorf("failures: %q", got)
	}
}

func TestSurplusRequestFailsTheTest(t *testing.T) {
	w := &witness{TB: t}
	u := upstream.Script(w, upstream.OK("a"))
	c := newClient(t, nil)
	for range 2 {
		if _, _, err := get(t, c, u.URL()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.end(); !strings.Contains(got, "surplus request 2, the script has 1 steps") {
		t.Errorf("failures: %q", got)
	}
}

func TestNonsenseFailsTheTest(t *testing.T) {
	for name, raw := range map[string]string{
		"head": "not http at all\r\n\r\n",
		"body": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := &witness{TB: t}
			u := upstream.Always(w, upstream.OK("a"))
			conn, err := net.Dial("tcp", u.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, raw)
			u.WaitHits(1)
			if got := w.end(); !strings.Contains(got, "request 1") {
				t.Errorf("failures: %q", got)
			}
		})
	}
}
