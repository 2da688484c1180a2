package dlq

import (
	"context"
	"encoding/json"

	"github.com/fsm-integrations/sidecar/internal/shared"
)

// streamPage is how many entries are asked for at a time; letters may be large.
const streamPage = 16

// ReadStream visits the letters in a Redis stream that are still open and that filter chooses, as ReadKafka does.
func ReadStream(ctx context.Context, c *shared.Client, stream string, filter Filter, visit func(*Letter) bool) error {
	s := c.Stream(stream, streamTimeout)
	defer func() { _ = s.Close() }()
	seen := newFold[string](filter)
	last, err := s.Last(ctx)
	if err != nil || last == "" {
		return err
	}
	for from, more := "-", true; more; {
		page, err := s.Read(ctx, from, last, streamPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			seen.see(e.Fields[noteLetter], e.Fields[noteState], []byte(e.Fields[fieldLetter]), e.ID)
			from = "(" + e.ID
		}
		more = len(page) == streamPage
	}
	for _, one := range seen.open() {
		entries, err := s.Read(ctx, one.place, one.place, 1)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			continue // removed meanwhile
		}
		l := new(Letter)
		if err := json.Unmarshal([]byte(entries[0].Fields[fieldLetter]), l); err != nil {
			return err
		}
		if !visit(l) {
			return nil
		}
	}
	return seen.end()
}
