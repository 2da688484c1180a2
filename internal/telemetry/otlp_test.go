package telemetry

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector takes what is exported, or does not.
type collector struct {
	*httptest.Server
	status   atomic.Int64
	requests chan *http.Request
	hold     chan struct{} // closed: answers come at once
}

func newCollector(t *testing.T) *collector {
	c := &collector{requests: make(chan *http.Request, 1000), hold: make(chan struct{})}
	c.status.Store(200)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests <- r
		select {
		case <-c.hold:
		case <-r.Context().Done():
		}
		w.WriteHeader(int(c.status.Load()))
	}))
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func tracerTo(t *testing.T, endpoint string) (*Tracer, *Metrics, *lines) {
	t.Helper()
	m, log := NewMetrics("v", "c"), new(lines)
	tracer, err := NewTracer(t.Context(), TracerConfig{Service: "sidecar", Version: "v1", Endpoint: endpoint, Ratio: 1, Metrics: m, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // one that is over ends nothing
		defer cancel()
		_ = tracer.Shutdown(ctx)
	})
	return tracer, m, log
}

func publish(t *Tracer, n int) {
	now := time.Now()
	for range n {
		t.Publish(&Span{Name: "s", Context: t.Root(), Start: now, End: now})
	}
}

func spans(t *testing.T, m *Metrics, result string) float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			if f.GetName() == "integration_spans_total" && s.GetLabel()[0].GetValue() == result {
				return s.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no count of %s spans", result)
	return 0
}

func TestSpansGoWhereTheFileSays(t *testing.T) {
	c := newCollector(t)
	close(c.hold)
	tracer, m, log := tracerTo(t, c.URL+"/otlp/")
	publish(tracer, 3)
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-c.requests; r.URL.Path != "/otlp/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("sent to %s as %s", r.URL, r.Header.Get("Content-Type"))
	}
	if got := spans(t, m, "exported"); got != 3 || log.String() != "" {
		t.Errorf("%v exported, logged %s", got, log)
	}
}

func TestTheEnvironmentSaysWhereBeforeTheFile(t *testing.T) {
	c := newCollector(t)
	close(c.hold)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=acme")
	tracer, _, _ := tracerTo(t, "http://127.0.0.1:1")
	publish(tracer, 1)
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-c.requests; r.URL.Path != "/v1/traces" || r.Header.Get("X-Tenant") != "acme" {
		t.Errorf("sent to %s with %v", r.URL, r.Header)
	}
}

func TestSpansAreOffUnlessSomebodySaysWhere(t *testing.T) {
	for name, c := range map[string]struct {
		endpoint string
		env      map[string]string
		on       bool
	}{
		"nothing":             {"", nil, false},
		"the file":            {"http://c:4318", nil, true},
		"the environment":     {"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, true},
		"only of traces":      {"", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, true},
		"the usual collector": {"", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true},
		"disabled":            {"http://c:4318", map[string]string{"OTEL_SDK_DISABLED": "TRUE"}, false},
		"no exporter":         {"http://c:4318", map[string]string{"OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			if tracer, _, _ := tracerTo(t, c.endpoint); (tracer != nil) != c.on {
				t.Errorf("on: %v", tracer != nil)
			}
		})
	}
}

func TestATracerOutOfContextLeavesTheFieldsAlone(t *testing.T) {
	for propagators, want := range map[string]bool{"": true, "tracecontext,baggage": true, "baggage,tracecontext": true, "none": false, "b3": false} {
		t.Setenv("OTEL_PROPAGATORS", propagators)
		if tracer, _, _ := tracerTo(t, "http://127.0.0.1:1"); tracer.Propagates() != want {
			t.Errorf("%q: %v", propagators, tracer.Propagates())
		}
	}
}

// A collector that hangs holds one batch; what finds no room in the queue is counted, and nobody waits.
func TestACollectorThatHangsDelaysNobody(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
	c := newCollector(t)
	tracer, m, _ := tracerTo(t, c.URL)
	publish(tracer, 10)
	<-c.requests // the batch is on its way, and stays there
	done := make(chan struct{})
	go func() {
		publish(tracer, 500)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("whoever published spans had to wait for the collector")
	}
	if got := spans(t, m, "dropped"); got != 490 {
		t.Errorf("%v dropped of 510 with room for 20", got)
	}
	close(c.hold)
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := spans(t, m, "exported"); got != 20 {
		t.Errorf("%v exported, want the 20 there was room for", got)
	}
	if spans(t, m, "failed") != 0 {
		t.Error("some failed")
	}
}

func TestACollectorThatRefusesIsToldOfOnce(t *testing.T) {
	c := newCollector(t)
	close(c.hold)
	c.status.Store(400)
	tracer, m, log := tracerTo(t, c.URL)
	for range 3 {
		publish(tracer, 2)
		if err := tracer.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := spans(t, m, "failed"); got != 6 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "400") {
		t.Errorf("%v failed, logged:\n%s", got, log)
	}
	c.status.Store(200)
	publish(tracer, 1)
	if err := tracer.provider.ForceFlush(t.Context()); err != nil || spans(t, m, "exported") != 1 || !strings.Contains(log.String(), "sent again") {
		t.Errorf("%v, logged:\n%s", err, log)
	}
}

func TestAShutdownDoesNotWaitForACollectorThatHangs(t *testing.T) {
	c := newCollector(t)
	tracer, m, _ := tracerTo(t, c.URL)
	publish(tracer, 1)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- tracer.Shutdown(ctx) }()
	<-c.requests
	cancel()
	if err := <-stopped; err == nil {
		t.Error("a shutdown that lost spans says nothing")
	}
	close(c.hold)
	for limit := time.After(time.Minute); spans(t, m, "exported") == 0; { // or the export would meet a server that is gone, and try again
		select {
		case <-limit:
			t.Fatal("the export does not end")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAnOperatorsLevelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(Level)
		l.Configure(slog.LevelWarn)
		expect := func(when string, want slog.Level, temporary bool) {
			t.Helper()
			if s := l.State(); l.Level() != want || s.Until.IsZero() == temporary || s.Level != strings.ToLower(want.String()) {
				t.Errorf("%s: %v, %+v", when, l.Level(), s)
			}
		}
		expect("configured", slog.LevelWarn, false)
		l.Override(slog.LevelDebug, 10*time.Minute)
		expect("overridden", slog.LevelDebug, true)
		l.Configure(slog.LevelInfo)
		expect("a reload does not end it", slog.LevelDebug, true)
		time.Sleep(9 * time.Minute)
		l.Override(slog.LevelError, 10*time.Minute)
		time.Sleep(9 * time.Minute)
		expect("a later one lasts as long as it says", slog.LevelError, true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		expect("its time is over", slog.LevelInfo, false)
		l.Override(slog.LevelDebug, time.Hour)
		l.Override(0, 0)
		expect("called off", slog.LevelInfo, false)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		expect("and stays so", slog.LevelInfo, false)
	})
}
