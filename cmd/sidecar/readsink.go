package main

import (
	"context"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/admin"
	"github.com/fsm-integrations/sidecar/internal/config"
)

// readSink is how letters of sidecars that are gone are found again; nil when letters are not forwarded.
func (p *process) readSink(doc *config.Document) *admin.Sink {
	type visit = func(*dlq.Letter) bool
	switch c := doc.DLQ; {
	case len(c.Kafka.Brokers) > 0:
		return &admin.Sink{Name: "kafka", Read: func(ctx context.Context, f dlq.Filter, v visit) error {
			kafka, err := p.kafkaConfig(&c.Kafka)
			if err != nil {
				return err
			}
			return dlq.ReadKafka(ctx, kafka, f, v)
		}}
	case p.shared != nil && c.Redis != nil:
		return &admin.Sink{Name: "redis", Read: func(ctx context.Context, f dlq.Filter, v visit) error {
			return dlq.ReadStream(ctx, p.shared, c.Redis.Stream, f, v)
		}}
	}
	return nil
}
