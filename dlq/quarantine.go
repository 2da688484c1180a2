package dlq

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

func countQuarantined(tx *bbolt.Tx) (n int) {
	_ = tx.Bucket(bucketQuarantine()).ForEach(func(key, _ []byte) error {
		if isQuarantinedHead(key) {
			n++
		}
		return nil
	})
	return n
}

func isQuarantinedHead(key []byte) bool {
	return len(key) > 5 && string(key[len(key)-5:]) == "\x00head"
}

// quarantine moves a letter that cannot be read aside, as it is, so that somebody may still make sense of it. A letter
// that can be read after all is left alone.
func (s *Spool) quarantine(ctx context.Context, id []byte) error {
	_, err := s.do(ctx, 0, func(t *transaction) (verdict, err error) {
		value, body := t.letters.Get(id), t.bodies.Get(id)
		if value == nil {
			return nil, nil
		}
		if _, err := decode(s.config.Seal, id, value, body); err == nil {
			return nil, nil
		}
		t.change.quarantined = 1
		return nil, t.setAside(id, bytes.Clone(value), bytes.Clone(body))
	})
	if err != nil {
		return fmt.Errorf("move a damaged letter of the spool aside: %w", err)
	}
	return nil
}

func (t *transaction) setAside(id, head, body []byte) error {
	quarantine := t.tx.Bucket(bucketQuarantine())
	if err := quarantine.Put([]byte(string(id)+"\x00head"), head); err != nil {
		return err
	}
	if body != nil {
		if err := quarantine.Put([]byte(string(id)+"\x00body"), body); err != nil {
			return err
		}
	}
	if s, ok := decodeSummary(id, head); ok {
		return t.remove(id, s)
	}
	if err := t.unqueue(id); err != nil {
		return err
	}
	for _, b := range []*bbolt.Bucket{t.letters, t.bodies, t.open, t.closed, t.forwarded} {
		if err := b.Delete(id); err != nil {
			return err
		}
	}
	return nil
}
