package proxy

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// freePort is an address nobody listens on, below the range from which systems give out ports of outgoing connections:
// one of those could be taken by another test between its choice and its use.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(5000+rand.IntN(7000))))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
}

func TestAConfigurationThatCannotBeUsedChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	u := upstream.Always(t, upstream.OK("old"))
	good, free := erp(u.URL()), freePort(t)
	for name, doc := range map[string]func(*config.Document){
		"no CA file": func(d *config.Document) {
			d.Adapters = document(t, good+crm(u.URL(), "tls: { ca: \"file:/nowhere/ca.pem\" }")).Adapters
		},
		"its port is taken": func(d *config.Document) {
			d.Adapters = document(t, good+crm(u.URL(), "listen: "+taken.Addr().String())).Adapters
		},
		"one of its ports is taken": func(d *config.Document) {
			d.Adapters = document(t, good+crm(u.URL(), "listen: "+free)+strings.Replace(crm(u.URL(), "listen: "+taken.Addr().String()), "crm", "dms", 2)).Adapters
		},
		"another admin address":   func(d *config.Document) { d.Listen.Admin = "127.0.0.1:1" },
		"another spool directory": func(d *config.Document) { d.DLQ.Dir = "/elsewhere" },
		"another log format":      func(d *config.Document) { d.Telemetry.LogFormat = "text" },
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, good)
			before := r.server.snapshot.Load()
			next := document(t, good)
			doc(next)
			if err := r.server.Use(next); err == nil {
				t.Fatal("it was used")
			}
			if r.server.snapshot.Load() != before || len(r.server.listeners) != 1 {
				t.Errorf("the snapshot changed, or %d listeners", len(r.server.listeners))
			}
			if a := r.call("GET", "/erp/", ""); a.body != "old" {
				t.Errorf("%v %q", a.Response, a.body)
			}
			if _, err := net.Dial("tcp", free); err == nil {
				t.Error("a new port is open")
			}
		})
	}
}

// crm is a second adapter.
func crm(upstream string, more ...string) string {
	lines := append([]string{"upstream: " + upstream, "retry: off"}, more...)
	return "  crm:\n    " + strings.Join(lines, "\n    ") + "\n"
}

func TestAdaptersComeChangeAndGo(t *testing.T) {
	one, two := upstream.Always(t, upstream.OK("one")), upstream.Always(t, upstream.OK("two"))
	r := serve(t, erp(one.URL()))
	expect := func(what, target, want string, status int) {
		t.Helper()
		if a := r.call("GET", target, ""); a.StatusCode != status || status == 200 && a.body != want {
			t.Errorf("%s: %s is %d %q", what, target, a.StatusCode, a.body)
		}
	}
	use := func(adapters string) {
		t.Helper()
		if err := r.server.Use(document(t, adapters)); err != nil {
			t.Fatal(err)
		}
	}
	expect("at first", "/erp/", "one", 200)
	expect("at first", "/crm/", "", 404)
	use(erp(two.URL()) + crm(one.URL()))
	expect("changed", "/erp/", "two", 200)
	expect("new", "/crm/", "one", 200)
	use(crm(one.URL()))
	expect("gone", "/erp/", "", 404)
	families, _ := r.deps.Metrics.Registry.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == "erp-main" {
					t.Errorf("%s still has a series of the adapter that is gone", f.GetName())
				}
			}
		}
	}
}

func TestListenersOpenAndCloseWithTheConfiguration(t *testing.T) {
	u := upstream.Always(t, upstream.OK("own"))
	first, second := freePort(t), freePort(t)
	r := serve(t, erp(u.URL(), "listen: "+first))
	if a := r.raw(first, "GET", "GET /orders HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); a.body != "own" || u.Request(1).Target != "/orders" {
		t.Fatalf("%v %q", a.Response, a.body)
	}
	if err := r.server.Use(document(t, erp(u.URL(), "listen: "+second))); err != nil {
		t.Fatal(err)
	}
	if a := r.raw(second, "GET", "GET /orders HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); a.body != "own" {
		t.Errorf("%v %q", a.Response, a.body)
	}
	refused(t, first)
}

// refused waits until nobody listens on addr: a listener is closed in the background.
func refused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Errorf("%s is still open", addr)
}

func TestAnAddressMayChangeItsOwner(t *testing.T) {
	u := upstream.Always(t, upstream.OK("fine"))
	own, shared := freePort(t), freePort(t)
	with := func(proxy, listen string) *config.Document {
		doc := document(t, erp(u.URL(), "listen: "+listen))
		doc.Listen.Proxy = proxy
		return doc
	}
	r := newRig(t, nil)
	if err := r.server.Use(with(shared, own)); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Use(with(own, shared)); err != nil {
		t.Fatal(err)
	}
	for addr, target := range map[string]string{own: "/erp/x", shared: "/x"} {
		a := r.raw(addr, "GET", "GET "+target+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if seen := u.Requests(); a.StatusCode != 200 || len(seen) == 0 || seen[len(seen)-1].Target != "/x" {
			t.Errorf("%s on %s: %v %q", target, addr, a.Response, a.body)
		}
	}
}

func TestACallInFlightFinishesOnItsSnapshot(t *testing.T) {
	open := make(chan struct{})
	u := upstream.Script(t, upstream.Gate(upstream.OK("old"), open))
	own := freePort(t)
	r := serve(t, erp(u.URL(), "listen: "+own))
	got := make(chan answer)
	go func() { got <- r.raw(own, "GET", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") }()
	u.WaitHits(1)
	if err := r.server.Use(document(t, crm(u.URL()))); err != nil {
		t.Fatal(err)
	}
	close(open)
	if a := <-got; a.StatusCode != 200 || a.body != "old" {
		t.Errorf("%v %q", a.Response, a.body)
	}
}

func TestBreakerAndBucketSurviveAReload(t *testing.T) {
	u := upstream.Script(t, upstream.Status(500), upstream.OK(""))
	adapters := func(more string) string {
		return erp(u.URL(), "breaker: { failure_threshold: 1, success_threshold: 1, reset_timeout: 1h }", "rate_limit: { capacity: 2, refill_rate: 0.001 }", more)
	}
	r := serve(t, adapters("max_body: 1MiB"))
	_ = r.call("GET", "/erp/", "")
	if err := r.server.Use(document(t, adapters("max_body: 2MiB"))); err != nil {
		t.Fatal(err)
	}
	a := r.call("GET", "/erp/", "")
	if a.StatusCode != 503 || !strings.Contains(a.body, "circuit-open") || a.Header.Get("Retry-After") == "" {
		t.Errorf("the breaker: %v %q", a.Response, a.body)
	}
	if err := r.server.SetBreaker("erp", BreakerClose); err != nil {
		t.Fatal(err)
	}
	_ = r.call("GET", "/erp/", "")
	if a := r.call("GET", "/erp/", ""); a.StatusCode != 429 || a.Header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("the bucket: %v %q", a.Response, a.body)
	}
}

func TestDrainingFinishesWhatIsInFlightAndTakesNothingNew(t *testing.T) {
	open := make(chan struct{})
	u := upstream.Script(t, upstream.Gate(upstream.OK("finished"), open))
	r := serve(t, erp(u.URL()))
	kept := dial(t, r.addr()) // a connection from before the drain
	got := make(chan answer)
	go func() { got <- r.call("POST", "/erp/", "{}") }()
	u.WaitHits(1)
	ended := make(chan error)
	go func() { ended <- r.server.Shutdown(context.Background()) }()
	for r.server.Ready() {
		_, _ = r.server.Status(), r.server.Health()
	}
	_, _ = io.WriteString(kept, "GET /erp/ HTTP/1.1\r\nHost: h\r\n\r\n")
	b := make([]byte, 4096)
	n, _ := kept.Read(b)
	if text := string(b[:n]); !strings.HasPrefix(text, "HTTP/1.1 503") || !strings.Contains(text, "draining") ||
		!strings.Contains(text, "Connection: close") || !strings.Contains(text, "Retry-After: 1") {
		t.Errorf("got %q", text)
	}
	close(open)
	if a := <-got; a.StatusCode != 200 || a.body != "finished" {
		t.Errorf("%v %q", a.Response, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestADrainThatTakesTooLongCutsOff(t *testing.T) {
	u := upstream.Script(t, upstream.Hang())
	r := serve(t, erp(u.URL()))
	client := make(chan answer)
	go func() { client <- r.call("POST", "/erp/", "{}", "Idempotency-Key", "k") }()
	u.WaitHits(1)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.server.Shutdown(over); err == nil {
		t.Error("the drain did not say that calls were cut off")
	}
	a, list := <-client, r.letters()
	if len(list) != 1 || list[0].Error.Type != "outcome_unknown" {
		t.Fatalf("letters %v", list)
	}
	if a.err != nil || a.StatusCode != 504 || a.Header.Get("X-Dead-Letter-ID") != list[0].ID {
		t.Errorf("%v, %v %q; want 504 with the letter", a.err, a.Response, a.body)
	}
}
