//go:build e2e

package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// otelcol is a real OpenTelemetry Collector that prints the spans it was sent.
type otelcol struct {
	address string
	config  string // file
	out     *e2e.Output
	t       *testing.T
}

func newOtelcol(t *testing.T) *otelcol {
	t.Helper()
	c := &otelcol{address: e2e.FreeAddr(t), config: filepath.Join(t.TempDir(), "otelcol.yaml"), out: new(e2e.Output), t: t}
	must(t, os.WriteFile(c.config, fmt.Appendf(nil, `receivers: { otlp: { protocols: { http: { endpoint: %s } } } }
exporters: { debug: { verbosity: detailed, use_internal_logger: false, sampling_initial: 1000000 } }
service:
  telemetry: { metrics: { level: none } }
  pipelines: { traces: { receivers: [otlp], exporters: [debug] } }
`, c.address), 0o600))
	return c
}

func startOtelcol(t *testing.T) *otelcol {
	t.Helper()
	c := newOtelcol(t)
	c.launch()
	return c
}

// launch runs it until the test ends.
func (c *otelcol) launch() {
	c.t.Helper()
	errors := new(e2e.Output)
	cmd := exec.Command(program(c.t, "otelcol"), "--config", c.config)
	cmd.Stdout, cmd.Stderr = c.out, errors
	must(c.t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-exited
	})
	e2e.Eventually(c.t, "the collector to be ready", func() bool {
		select {
		case <-exited:
			c.t.Fatalf("the collector ended at once:\n%s", errors)
		default:
		}
		return strings.Contains(errors.String(), "Everything is ready")
	})
}

// environment sends the spans of a sidecar there, soon.
func (c *otelcol) environment(more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.address, "OTEL_BSP_SCHEDULE_DELAY=50"}, more...)
}

// otelSpan is one span as the collector got it.
type otelSpan struct {
	trace, parent, id, name, kind, state, status, message string
	start, end                                            time.Time
	attributes, resource                                  map[string]string
	links                                                 []string // trace/span
}

// spans are those that have arrived, read from what the debug exporter prints.
func (c *otelcol) spans() (list []*otelSpan) {
	var s *otelSpan
	resource, into := map[string]string{}, map[string]string{}
	link := ""
	for line := range strings.Lines(c.out.String()) {
		line = strings.TrimRight(line, "\n")
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "-> "), ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "ResourceSpans #"):
			resource, s = map[string]string{}, nil
			into = resource
		case strings.HasPrefix(line, "Span #"):
			s = &otelSpan{attributes: map[string]string{}, resource: resource}
			list, into = append(list, s), s.attributes
		case strings.HasPrefix(line, "SpanLink #"):
			into = nil
		case strings.HasPrefix(line, "     -> ") && s != nil && into == nil: // of a link
			if name == "Trace ID" {
				link = value
			} else if name == "ID" {
				s.links = append(s.links, link+"/"+value)
			}
		case strings.HasPrefix(line, "     -> "):
			if open := strings.Index(value, "("); open > 0 {
				value = strings.TrimSuffix(value[open+1:], ")")
			}
			into[name] = value
		case strings.HasPrefix(line, "    ") && s != nil:
			s.set(name, value)
		}
	}
	return list
}

func (s *otelSpan) set(name, value string) {
	const layout = "2006-01-02 15:04:05.999999999 -0700 MST"
	switch name {
	case "Trace ID":
		s.trace = value
	case "Parent ID":
		s.parent = value
	case "ID":
		s.id = value
	case "Name":
		s.name = value
	case "Kind":
		s.kind = value
	case "TraceState":
		s.state = value
	case "Status code":
		s.status = value
	case "Status message":
		s.message = value
	case "Start time":
		s.start, _ = time.Parse(layout, value)
	case "End time":
		s.end, _ = time.Parse(layout, value)
	}
}

// await returns the spans of a trace when n have arrived.
func (c *otelcol) await(trace string, n int) (found []*otelSpan) {
	c.t.Helper()
	e2e.Eventually(c.t, fmt.Sprintf("%d spans of trace %s", n, trace), func() bool {
		found = nil
		for _, s := range c.spans() {
			if s.trace == trace {
				found = append(found, s)
			}
		}
		return len(found) >= n
	})
	if len(found) != n {
		c.t.Errorf("%d spans of trace %s, want %d: %v", len(found), trace, n, namesOf(found))
	}
	return found
}

func namesOf(spans []*otelSpan) (names []string) {
	for _, s := range spans {
		names = append(names, s.name)
	}
	return names
}

// named is the nth of these spans with that name, from 0.
func named(t *testing.T, spans []*otelSpan, name string, n int) *otelSpan {
	t.Helper()
	for _, s := range spans {
		if s.name != name {
			continue
		}
		if n == 0 {
			return s
		}
		n--
	}
	t.Fatalf("there is no such span %s among %v", name, namesOf(spans))
	return nil
}

// wantAttributes fails the test unless the span has these; "" stands for none of that name.
func (s *otelSpan) wantAttributes(t *testing.T, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if s.attributes[name] != value {
			t.Errorf("%s: %s is %q, want %q", s.name, name, s.attributes[name], value)
		}
	}
}
