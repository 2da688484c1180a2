package dlq

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Sink is where letters are forwarded to: a Kafka topic or a Redis stream. Package sinktest holds each to this.
//
// Forwarding is at least once: a letter may arrive again, after a crash or an answer that was lost. Its id, which
// stands beside the letter as letter-id, is for readers to drop duplicates by.
type Sink interface {
	// Send hands letters over, each as its JSON, and returns nil only when the sink has acknowledged all of them.
	// Letters of one correlation id arrive in the order given. With a RefusedError all other letters are
	// acknowledged; after any other error any of them may have arrived, and all are to be sent again. One caller at a
	// time.
	Send(ctx context.Context, letters []*Letter) error
	// Close ends the connections. What is being sent fails.
	Close() error
}

// RefusedError tells which letters of a Send the sink will never take, for example because they are larger than the
// topic allows. All others have arrived.
type RefusedError struct{ Letters []Refusal }

// Refusal is why a sink does not take one letter.
type Refusal struct {
	LetterID string
	Err      error
}

func (e *RefusedError) Error() string {
	reasons := make([]string, len(e.Letters))
	for i, r := range e.Letters {
		reasons[i] = fmt.Sprintf("letter %s: %v", r.LetterID, r.Err)
	}
	return "the sink refuses " + strings.Join(reasons, "; ")
}

// Unwrap returns the reasons.
func (e *RefusedError) Unwrap() []error {
	list := make([]error, len(e.Letters))
	for i, r := range e.Letters {
		list[i] = r.Err
	}
	return list
}

// An envelope is a letter as it is sent: its JSON, and what a reader may want to know without parsing it.
type envelope struct {
	correlation string
	value       []byte
	notes       [4]note
}

type note struct{ name, value string }

// The names of what stands beside a letter, in Kafka as headers, in Redis as fields.
const (
	noteAdapter = "adapter-id"
	noteError   = "error-type"
	noteLetter  = "letter-id"
	noteState   = "state"
)

// envelop writes a letter for a sink.
func envelop(l *Letter) (envelope, error) {
	value, err := json.Marshal(l)
	if err != nil {
		return envelope{}, err
	}
	return envelope{correlation: l.Metadata.CorrelationID, value: value, notes: [4]note{
		{noteAdapter, l.Metadata.AdapterID}, {noteError, string(l.Error.Type)}, {noteLetter, l.ID}, {noteState, string(l.State)},
	}}, nil
}

// envelopAll does so with letters in their order. Who cannot be is refused.
func envelopAll(letters []*Letter) (ready []envelope, refused []Refusal) {
	for _, l := range letters {
		e, err := envelop(l)
		if err != nil {
			refused = append(refused, Refusal{l.ID, fmt.Errorf("encode: %w", err)})
			continue
		}
		ready = append(ready, e)
	}
	return ready, refused
}

// id is the letter's.
func (e *envelope) id() string { return e.notes[2].value }

// size is about what the letter takes on the way, in bytes.
func (e *envelope) size() int {
	n := len(e.correlation) + len(e.value) + 64
	for _, note := range e.notes {
		n += len(note.name) + len(note.value)
	}
	return n
}

// batches cuts a list into runs of at most limit bytes; who is larger goes alone.
func batches(list []envelope, limit int) (runs [][]envelope) {
	start, size := 0, 0
	for i := range list {
		if more := list[i].size(); i > start && size+more > limit {
			runs = append(runs, list[start:i])
			start, size = i, more
		} else {
			size += more
		}
	}
	if start < len(list) {
		runs = append(runs, list[start:])
	}
	return runs
}

// refusal makes an error of those who were refused; nil when nobody was.
func refusal(list []Refusal) error {
	if len(list) == 0 {
		return nil
	}
	return &RefusedError{Letters: list}
}
