package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

const (
	longestFlush = 5 * time.Second // that a slow collector may delay the end
	leastFlush   = time.Second     // also when the drain took all its time
)

// openObservability makes everything that tells of the process what it does.
func (p *process) openObservability(doc *config.Document, logs io.Writer) (err error) {
	t, build := doc.Telemetry, currentBuild()
	p.level, p.logged = new(telemetry.Level), telemetry.NewShare(t.LogSuccessRatio)
	p.level.Configure(telemetry.ParseLevel(t.LogLevel))
	p.log = telemetry.NewLogger(logs, p.level, t.LogFormat).With("service", t.ServiceName)
	p.audit = telemetry.NewLogger(logs, new(slog.LevelVar), t.LogFormat).With("service", t.ServiceName)
	p.metrics = telemetry.NewMetrics(build.Version, build.Commit)
	p.tracer, err = telemetry.NewTracer(context.Background(), telemetry.TracerConfig{Service: t.ServiceName, Version: build.Version,
		Endpoint: t.OTLPEndpoint, Ratio: t.SampleRatio, Metrics: p.metrics, Log: p.log})
	return err
}

// adjust takes over what may change of it while running.
func (p *process) adjust(t config.Telemetry) {
	p.level.Configure(telemetry.ParseLevel(t.LogLevel))
	p.logged.Set(t.LogSuccessRatio)
	p.tracer.SetRatio(t.SampleRatio)
}

// flushSpans sends the spans that wait, as long as the drain lasts, and a little longer than one that is over.
func (p *process) flushSpans(drain context.Context) {
	patience := longestFlush
	if end, ok := drain.Deadline(); ok {
		patience = max(min(patience, time.Until(end)), leastFlush)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(drain), patience)
	defer cancel()
	if err := p.tracer.Shutdown(ctx); err != nil {
		p.log.Warn("spans were lost: the collector did not take them in time", "error", err.Error())
	}
}
