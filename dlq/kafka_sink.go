package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka is the sink that writes to a topic. The key of a record is the correlation id, so that all that is told of one
// exchange stays in order in one partition; adapter-id, error-type, letter-id and state are headers; the value is the
// letter's JSON and nothing else.
type Kafka struct {
	client  *kgo.Client
	topic   string
	timeout time.Duration
	dialled *kafkaDialled
}

// kafkaBatch bounds what is sent at a time, in bytes: below the 1 MiB that Kafka takes in one batch by default, so that
// only a letter that is itself too large is refused.
const kafkaBatch = 900 << 10

// OpenKafka returns the sink. It does not wait for the brokers: whether they answer is seen at the first Send.
//
// A letter counts when all in-sync replicas have it. The client numbers its records, so a retry of its own makes no
// duplicate. It is told to give up when its time has passed although the outcome is unknown (by default it would wait
// without end); the next Send may then repeat a letter.
func OpenKafka(c KafkaConfig) (*Kafka, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	dialled := new(kafkaDialled)
	client, err := kgo.NewClient(append(options,
		kgo.WithHooks(dialled),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.RecordDeliveryTimeout(c.Timeout),
		kgo.ProduceRequestTimeout(c.Timeout),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(kafkaMaxRecord),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.SnappyCompression()), // bodies are base64: zstd wins back the third
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Kafka{client: client, topic: c.Topic, timeout: c.Timeout, dialled: dialled}, nil
}

// Send implements Sink.
func (k *Kafka) Send(ctx context.Context, letters []*Letter) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	ready, refused := envelopAll(letters)
	for _, run := range batches(ready, kafkaBatch) {
		more, err := k.sendRun(ctx, run)
		if err != nil {
			return fmt.Errorf("send to Kafka topic %s: %w", k.topic, k.dialled.explain(err))
		}
		refused = append(refused, more...)
	}
	return refusal(refused)
}

// sendRun sends letters that fit into a batch. When the broker refuses a batch of several it gets them one by one, to
// find the one that it means; nothing after them is on its way by then, so the order stays.
func (k *Kafka) sendRun(ctx context.Context, run []envelope) (refused []Refusal, err error) {
	verdicts, err := k.produce(ctx, run)
	if err != nil || len(run) == 1 {
		return verdicts, err
	}
	for i := range run {
		if !slices.ContainsFunc(verdicts, func(r Refusal) bool { return r.LetterID == run[i].id() }) {
			continue
		}
		alone, err := k.produce(ctx, run[i:i+1])
		if err != nil {
			return nil, err
		}
		refused = append(refused, alone...)
	}
	return refused, nil
}

// produce writes a run and waits for it. Who is refused may be so because of its company in the batch.
func (k *Kafka) produce(ctx context.Context, run []envelope) (refused []Refusal, err error) {
	records := make([]*kgo.Record, len(run))
	ids := make(map[*kgo.Record]string, len(run))
	for i := range run {
		records[i] = k.record(&run[i])
		ids[records[i]] = run[i].id()
	}
	for _, result := range k.client.ProduceSync(ctx, records...) {
		switch {
		case result.Err == nil:
		case refuses(result.Err):
			refused = append(refused, Refusal{ids[result.Record], result.Err})
		case err == nil:
			err = result.Err
		}
	}
	return refused, err
}

func (k *Kafka) record(e *envelope) *kgo.Record {
	r := &kgo.Record{Topic: k.topic, Key: []byte(cmp.Or(e.correlation, e.id())), Value: e.value, Headers: make([]kgo.RecordHeader, len(e.notes))}
	for i, n := range e.notes {
		r.Headers[i] = kgo.RecordHeader{Key: n.name, Value: []byte(n.value)}
	}
	return r
}

// refuses reports whether a broker's error is about the records themselves, and would be the same tomorrow.
func refuses(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord)
}

// Close implements Sink.
func (k *Kafka) Close() error {
	k.client.Close()
	return nil
}
