package dlq

import (
	"context"
	"time"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// Stream is the sink that appends to a Redis stream: the letter's JSON in the field letter, beside it letter-id,
// adapter-id, error-type, correlation-id and state.
//
// The stream is never trimmed (no MAXLEN): nothing is lost silently. A Redis that is full refuses new letters, and they
// stay in the spool; its readers remove what they have dealt with. An acknowledged letter is as safe as Redis keeps it:
// a master that fails before its replica has it loses it there, though not in the spool.
type Stream struct{ redis *shared.Stream }

const (
	streamTimeout    = 10 * time.Second // of a round trip: the largest letter over a slow network
	streamBatch      = 1 << 20          // bytes in a round trip; Redis does nothing else meanwhile
	fieldLetter      = "letter"
	fieldCorrelation = "correlation-id"
)

// OpenStream returns the sink. It does not wait for Redis.
func OpenStream(c *shared.Client, stream string) *Stream {
	return &Stream{redis: c.Stream(stream, streamTimeout)}
}

// Send implements Sink. A batch arrives whole or not at all.
func (s *Stream) Send(ctx context.Context, letters []*Letter) error {
	ready, refused := envelopAll(letters)
	for _, run := range batches(ready, streamBatch) {
		entries := make([][]any, len(run))
		for i := range run {
			entries[i] = run[i].words()
		}
		if err := s.redis.Add(ctx, entries); err != nil {
			return err
		}
	}
	return refusal(refused)
}

// words are the fields of an entry: name, value, name, value.
func (e *envelope) words() []any {
	words := make([]any, 0, 2*(2+len(e.notes)))
	words = append(words, fieldLetter, e.value, fieldCorrelation, e.correlation)
	for _, n := range e.notes {
		words = append(words, n.name, n.value)
	}
	return words
}

// Close implements Sink.
func (s *Stream) Close() error { return s.redis.Close() }
