package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanCounts count what became of spans.
type spanCounts struct{ exported, failed, dropped prometheus.Counter }

// spans registers the metric of spans. It exists from then on: a sidecar that sends none has none.
func (m *Metrics) spans() spanCounts {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "integration_spans_total",
		Help: "Spans by what became of them: exported, failed (the collector did not take them) or dropped (too many were waiting)."}, []string{"result"})
	m.Registry.MustRegister(v)
	return spanCounts{exported: v.WithLabelValues("exported"), failed: v.WithLabelValues("failed"), dropped: v.WithLabelValues("dropped")}
}

// spanQueue bounds the spans that wait, those on their way included, and counts what it turns away. The SDK's own
// queue, which is as long, bounds too, but does not tell.
type spanQueue struct {
	sdktrace.SpanProcessor
	room   atomic.Int64
	counts spanCounts
	log    *slog.Logger
	ailing atomic.Bool // the last export failed
}

func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if q.room.Add(-1) < 0 {
		q.room.Add(1)
		q.counts.dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// spanExporter tells the queue what was sent.
type spanExporter struct {
	sdktrace.SpanExporter
	queue *spanQueue
}

// ExportSpans never fails for its caller, which would only print it: the first failure is logged, and the end of them.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	q, n := e.queue, len(spans)
	q.room.Add(int64(n))
	if err == nil {
		q.counts.exported.Add(float64(n))
		if q.ailing.Swap(false) {
			q.log.Info("spans are sent again")
		}
		return nil
	}
	q.counts.failed.Add(float64(n))
	if !q.ailing.Swap(true) {
		q.log.Warn("spans could not be sent and are lost; calls are not affected", "error", unsaid(err))
	}
	return nil
}

// unsaid is an error of the exporter without the words of whoever answered, which may repeat the headers that were sent: a
// body, the phrase of a status, what net/http quotes, and the URL.
func unsaid(err error) string {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err
	}
	text := err.Error()
	if _, answer, found := strings.Cut(text, "failed to send to "); found {
		_, status, _ := strings.Cut(answer, ": ")
		return "the collector answered " + status[:min(3, len(status))]
	}
	for _, theirs := range []string{`"`, "body: ", "partial success: "} {
		text, _, _ = strings.Cut(text, theirs)
	}
	return strings.TrimRight(text, " :(")
}
