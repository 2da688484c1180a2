package dlq

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/seal"
)

// The two parts of a letter that are sealed. Their names are sealed with them, so that one cannot pass for the other.
const (
	partMessage = "message"
	partBody    = "body"
)

// Whole returns nil when the message can be sent again as it was: ErrSealed and ErrBodyOmitted say why it cannot.
func (m *Message) Whole() error {
	switch {
	case m.SealedWith != "":
		return ErrSealed
	case m.BodyOmitted:
		return ErrBodyOmitted
	}
	return nil
}

// outside is what a sealed letter shows without its key: nothing the application sent, nor a digest of it, which would
// tell a short body to whoever tries them all.
func (m *Message) outside() Message {
	out := Message{Method: m.Method, Operation: m.Operation, BodyOmitted: m.BodyOmitted}
	if m.BodyOmitted {
		out.BodyLength = m.BodyLength
	}
	return out
}

// omitBody leaves the body out, and says so.
func (m *Message) omitBody() {
	if len(m.Body) > 0 {
		m.BodyOmitted, m.BodyLength, m.Body = true, int64(len(m.Body)), nil
	}
}

// pack returns the parts of a message as they go to the disk: sealed is empty without a sealer.
func pack(s *seal.Sealer, id string, m *Message) (sealed, body []byte, err error) {
	if s == nil {
		return nil, m.Body, nil
	}
	text, err := m.withoutBody()
	if err != nil {
		return nil, nil, err
	}
	sealed = s.Seal(id, partMessage, text)
	if len(m.Body) > 0 {
		body = s.Seal(id, partBody, m.Body)
	}
	return sealed, body, nil
}

// A content is the message of a letter while it is updated. A nil one leaves the message out.
type content struct {
	sealer *seal.Sealer
	before []byte // what the message was, to see whether it was changed
	sum    [sha256.Size]byte
}

// letter builds the letter to edit.
func (c *content) letter(t *transaction, id []byte, h head) (*Letter, error) {
	if c == nil {
		return decodeBare(h)
	}
	l, err := decode(c.sealer, id, t.letters.Get(id), t.bodies.Get(id))
	if err != nil {
		return nil, err
	}
	c.sum = sha256.Sum256(l.OriginalMessage.Body)
	c.before, err = l.OriginalMessage.withoutBody()
	return l, err
}

// pack makes what goes to the disk. A message that was not changed stays as it is there, sealed or not.
func (c *content) pack(l *Letter, former head) (w writing, newBody bool, err error) {
	w.id = []byte(l.ID)
	changed, err := c.changed(l)
	switch {
	case err != nil:
		return w, false, err
	case !changed:
		w.head, err = encodeHeadOf(l, former.sealed, former.bodySize, former.bodySum)
		return w, false, err
	case l.OriginalMessage.SealedWith != "":
		return w, false, ErrSealed
	}
	sealed, body, err := pack(c.sealer, l.ID, &l.OriginalMessage)
	if err != nil {
		return w, false, err
	}
	w.body = body
	w.head, err = encodeHead(l, sealed, body)
	return w, true, err
}

func (c *content) changed(l *Letter) (bool, error) {
	if c == nil {
		return false, nil
	}
	after, err := l.OriginalMessage.withoutBody()
	return !bytes.Equal(c.before, after) || c.sum != sha256.Sum256(l.OriginalMessage.Body), err
}

func (m *Message) withoutBody() ([]byte, error) {
	bare := *m
	bare.Body = nil
	text, err := json.Marshal(&bare)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	return text, nil
}

// decodeBare builds a letter from its head alone: of a sealed message it knows what outside leaves. It shares no
// memory with the value.
func decodeBare(h head) (*Letter, error) {
	l := new(Letter)
	if err := json.Unmarshal(h.text, l); err != nil {
		return nil, errDamaged
	}
	return l, nil
}

// decode builds a letter that shares no memory with the values it is read from. One that was sealed with a key that s
// does not know comes with SealedWith.
func decode(s *seal.Sealer, id, value, body []byte) (*Letter, error) {
	h, ok := decodeHead(id, value)
	if !ok || int64(len(body)) != h.bodySize || checksum(body) != h.bodySum {
		return nil, errDamaged
	}
	l, err := decodeBare(h)
	if err != nil {
		return nil, err
	}
	if len(h.sealed) > 0 {
		return l, unseal(s, l, string(id), h.sealed, body)
	}
	l.OriginalMessage.Body = bytes.Clone(body)
	if len(body) == 0 {
		l.OriginalMessage.Body = nil
	}
	return l, nil
}

func unseal(s *seal.Sealer, l *Letter, id string, sealed, body []byte) error {
	text, err := s.Open(id, partMessage, sealed)
	if err == nil && len(body) > 0 {
		body, err = s.Open(id, partBody, body)
	}
	if errors.Is(err, seal.ErrUnknownKey) {
		l.OriginalMessage.SealedWith = seal.KeyName(sealed)
		l.OriginalMessage.BodyLength = max(l.OriginalMessage.BodyLength, int64(len(body)-seal.Overhead))
		return nil
	}
	if err != nil {
		return errDamaged
	}
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		return errDamaged
	}
	if m.Body = nil; len(body) > 0 {
		m.Body = body
	}
	l.OriginalMessage = m
	return nil
}
