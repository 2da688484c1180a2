package dlq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaFetch bounds what a reader has in memory of one broker's answer, in bytes; a larger letter still arrives.
const kafkaFetch = 8 << 20

// ReadKafka visits the letters in a topic that are still open and that filter chooses, the oldest first, until visit
// returns false. It reads from the beginning to what was the end when it began, and joins no consumer group.
//
// A topic holds several entries of a letter; one that was replayed, resolved or discarded is not visited, see fold.
// Twice is read: first all, of which ids, states and places are kept (some 200 bytes of memory a letter), then what is
// to be visited, a few MB at a time. A topic that cannot be read is an error, after which some letters may have been
// visited; entries that are no letters are an UnreadableError, after everything else.
func ReadKafka(ctx context.Context, c KafkaConfig, filter Filter, visit func(*Letter) bool) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(options,
		kgo.FetchMaxBytes(kafkaFetch),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), // or a topic that ends with one would seem to have no end
	)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	r := &kafkaReader{client: client, topic: c.Topic, timeout: c.Timeout}
	if err := r.visitOpen(ctx, filter, visit); err != nil {
		return fmt.Errorf("read Kafka topic %s: %w", c.Topic, err)
	}
	return nil
}

type kafkaReader struct {
	client  *kgo.Client
	topic   string
	timeout time.Duration // without anything to read
}

// kafkaPlace is where a record lies.
type kafkaPlace struct {
	partition int32
	offset    int64
}

func (p kafkaPlace) String() string {
	return fmt.Sprintf("partition %d offset %d", p.partition, p.offset)
}

func (r *kafkaReader) visitOpen(ctx context.Context, filter Filter, visit func(*Letter) bool) error {
	all, err := r.bounds(ctx)
	if err != nil {
		return err
	}
	seen := newFold[kafkaPlace](filter)
	err = r.read(ctx, all, func(record *kgo.Record) {
		seen.see(header(record, noteLetter), header(record, noteState), record.Value, kafkaPlace{record.Partition, record.Offset})
	})
	if err != nil {
		return err
	}
	for _, portion := range portions(seen.open()) {
		letters, err := r.collect(ctx, portion)
		if err != nil {
			return err
		}
		for _, one := range portion {
			if l := letters[one.place]; l != nil && !visit(l) { // nil: removed from the topic meanwhile
				return nil
			}
		}
	}
	return seen.end()
}

// A span is a run of offsets in a partition; until is not part of it.
type span struct{ from, until int64 }

// read reads one span of each partition and calls each with their records, in no order between partitions.
func (r *kafkaReader) read(ctx context.Context, spans map[int32]span, each func(*kgo.Record)) error {
	left, from := maps.Clone(spans), map[int32]kgo.Offset{}
	for p, s := range spans {
		if from[p] = kgo.NewOffset().At(s.from); s.from >= s.until {
			delete(left, p)
			delete(from, p)
		}
	}
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from})
	defer func() { r.forget(slices.Collect(maps.Keys(left))...) }()
	for len(left) > 0 {
		records, err := r.poll(ctx)
		if err != nil {
			return err
		}
		for _, record := range records {
			s, wanted := left[record.Partition]
			if !wanted {
				continue
			}
			if record.Offset < s.until && !record.Attrs.IsControl() {
				each(record)
			}
			if record.Offset >= s.until-1 {
				delete(left, record.Partition)
				r.forget(record.Partition)
			}
		}
	}
	return nil
}

// poll waits for records. A topic that has some, and gives none, is an error.
func (r *kafkaReader) poll(ctx context.Context) ([]*kgo.Record, error) {
	waiting, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	fetches := r.client.PollFetches(waiting)
	for _, failed := range fetches.Errors() {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(failed.Err, context.DeadlineExceeded):
			return nil, fmt.Errorf("nothing came for %s", r.timeout)
		default:
			return nil, failed.Err
		}
	}
	return fetches.Records(), nil
}

func (r *kafkaReader) forget(partitions ...int32) {
	r.client.RemoveConsumePartitions(map[string][]int32{r.topic: partitions})
}

func header(record *kgo.Record, name string) string {
	for _, h := range record.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
