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

const (
	headMark = "\x00head"
	bodyMark = "\x00body" // as long as the other
)

func quarantinedHead(id []byte) []byte { return []byte(string(id) + headMark) }
func quarantinedBody(id []byte) []byte { return []byte(string(id) + bodyMark) }

func isQuarantinedHead(key []byte) bool {
	return len(key) > len(headMark) && bytes.HasSuffix(key, []byte(headMark))
}

// isQuarantined reports whether key is one of the quarantine's, with either mark.
func isQuarantined(key []byte) bool {
	return isQuarantinedHead(key) || len(key) > len(bodyMark) && bytes.HasSuffix(key, []byte(bodyMark))
}

// quarantinedID is the id of the letter of which there is something under key.
func quarantinedID(key []byte) []byte {
	if !isQuarantined(key) {
		return nil
	}
	return key[:len(key)-len(headMark)]
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

// setAsideHeadless says of which letters the heads are gone: those that the indexes know. Where a letter lacks its entry
// it is rather the entry's key that was damaged, and nothing is lost.
func (s *Spool) setAsideHeadless(ctx context.Context) error {
	for _, index := range [][]byte{bucketOpen(), bucketClosed()} {
		err := s.walk(ctx, index, func(t *transaction, id, _ []byte) error {
			if t.letters.Get(id) != nil {
				return nil
			}
			t.change.quarantined++
			return t.setAside(id, nil, bytes.Clone(t.bodies.Get(id)))
		})
		if err != nil {
			return fmt.Errorf("set aside what is left of a letter: %w", err)
		}
	}
	return nil
}

func (t *transaction) setAside(id, head, body []byte) error {
	quarantine := t.tx.Bucket(bucketQuarantine())
	if err := quarantine.Put(quarantinedHead(id), head); err != nil {
		return err
	}
	if body != nil {
		if err := quarantine.Put(quarantinedBody(id), body); err != nil {
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
