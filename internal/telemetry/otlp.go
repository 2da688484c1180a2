package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// TracerConfig is what the configuration file says of spans. The OTEL_* variables of the environment come first: they
// are of this process alone, the file may be of many.
type TracerConfig struct {
	Service  string
	Version  string
	Endpoint string  // of a collector, as OTEL_EXPORTER_OTLP_ENDPOINT: a URL below which /v1/traces is; "" for none
	Ratio    float64 // of new traces
	Metrics  *Metrics
	Log      *slog.Logger
}

// NewTracer returns a tracer that sends by OTLP over HTTP, or nil when nobody has said where to.
func NewTracer(ctx context.Context, c TracerConfig) (*Tracer, error) {
	if !wanted(c.Endpoint) {
		return nil, nil
	}
	s, err := samplingFromEnv(c.Ratio)
	if err != nil {
		c.Log.Warn("spans: a variable of the environment is not used", "error", err.Error())
	}
	if p := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") + os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); strings.Contains(p, "grpc") {
		c.Log.Warn("spans are sent by http/protobuf: this sidecar does not speak OTLP over gRPC", "variable", "OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	client, err := otlptracehttp.New(ctx, exporterOptions(c.Endpoint)...)
	if err != nil {
		return nil, fmt.Errorf("spans: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName(c.Service), semconv.ServiceVersion(c.Version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		c.Log.Warn("spans: OTEL_RESOURCE_ATTRIBUTES could not be read whole", "error", err.Error())
	}
	size := queueSize()
	queue := &spanQueue{counts: c.Metrics.spans(), log: c.Log}
	queue.room.Store(int64(size))
	queue.SpanProcessor = sdktrace.NewBatchSpanProcessor(&spanExporter{client, queue}, sdktrace.WithMaxQueueSize(size))
	t := newTracer(c.Version, s, sdktrace.WithSpanProcessor(queue), sdktrace.WithResource(about))
	propagators, chosen := os.LookupEnv("OTEL_PROPAGATORS")
	if chosen && propagators != "" && !strings.Contains(propagators, "tracecontext") {
		t.Silent()
	}
	return t, nil
}

// wanted reports whether there is somewhere to send spans to, and nothing against it.
func wanted(endpoint string) bool {
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || exporter != "" && exporter != "otlp" {
		return false
	}
	return endpoint != "" || exporter == "otlp" || endpointFromEnv()
}

func endpointFromEnv() bool {
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// exporterOptions leave to the environment what it says.
func exporterOptions(endpoint string) []otlptracehttp.Option {
	if endpoint == "" || endpointFromEnv() {
		return nil
	}
	full, err := url.JoinPath(endpoint, "v1/traces")
	if err != nil { // the configuration was checked: it is a URL
		full = endpoint
	}
	return []otlptracehttp.Option{otlptracehttp.WithEndpointURL(full)}
}

// sampling is how the first participant of a trace decides.
type sampling struct {
	ratio      float64
	heedParent bool
	fromEnv    bool
}

// samplingFromEnv reads OTEL_TRACES_SAMPLER and its argument; without them ratio is for traces that begin here.
func samplingFromEnv(ratio float64) (sampling, error) {
	file := sampling{ratio: ratio, heedParent: true}
	name := strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER"))
	base, heed := strings.CutPrefix(name, "parentbased_")
	s := sampling{heedParent: heed, fromEnv: true}
	switch base {
	case "":
		return file, nil
	case "always_on":
		s.ratio = 1
	case "always_off":
	case "traceidratio":
		s.ratio = 1 // also what the SDK takes when there is no argument
		if arg := strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER_ARG")); arg != "" {
			share, err := strconv.ParseFloat(arg, 64)
			if err != nil || !(share >= 0 && share <= 1) {
				return file, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1")
			}
			s.ratio = share
		}
	default:
		return file, fmt.Errorf("OTEL_TRACES_SAMPLER names a sampler that is not known here")
	}
	return s, nil
}

// queueSize is how many spans may wait to be sent.
func queueSize() int {
	if n, err := strconv.Atoi(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE")); err == nil && n > 0 {
		return n
	}
	return sdktrace.DefaultMaxQueueSize
}

// OpenTelemetryTo turns what the OpenTelemetry SDK would print to stderr into lines of l, at level debug. It is of the
// whole process.
func OpenTelemetryTo(l *slog.Logger) {
	library := libraryWriter{l}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { _, _ = library.Write([]byte(err.Error())) }))
	otel.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
}
