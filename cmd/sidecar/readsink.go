package main

import (
	"context"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/config"
)

// readSink is how letters of sidecars that are gone are found again; nil when letters are not forwarded.
//
// A sink may be shared: only letters of this application are read, or one application's call would be sent again with
// another's credentials.
func (p *process) readSink(doc *config.Document) *admin.Sink {
	type visit = func(*dlq.Letter) bool
	application := applicationOf(doc)
	switch c := doc.DLQ; {
	case len(c.Kafka.Brokers) > 0:
		return &admin.Sink{Name: "kafka", Read: func(ctx context.Context, f dlq.Filter, v visit) error {
			kafka, err := p.kafkaConfig(&c.Kafka)
			if err != nil {
				return err
			}
			f.Application = application
			return dlq.ReadKafka(ctx, kafka, f, v)
		}}
	case p.shared != nil && c.Redis != nil:
		return &admin.Sink{Name: "redis", Read: func(ctx context.Context, f dlq.Filter, v visit) error {
			f.Application = application
			return dlq.ReadStream(ctx, p.shared, c.Redis.Stream, f, v)
		}}
	}
	return nil
}

// applicationOf names the application whose sidecars share state and letters: by redis.prefix, without Redis by
// telemetry.service_name.
func applicationOf(doc *config.Document) string {
	if doc.Redis.Used() {
		return doc.Redis.Prefix
	}
	return doc.Telemetry.ServiceName
}
