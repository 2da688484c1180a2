package accepted

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/seal"
)

// The parts of an exchange that are sealed when there is a key. Their names are sealed with them.
const (
	partRequest    = "exchange request"
	partBody       = "exchange request body"
	partAnswer     = "exchange answer"
	partAnswerBody = "exchange answer body"
)

// request is what a sealed record holds of the call beside its body. The fingerprint is among it: a digest tells a short
// body to whoever tries them all.
type request struct {
	Target      []byte      `json:"target"`
	Fields      [][2][]byte `json:"fields,omitempty"`
	Fingerprint []byte      `json:"fingerprint"`
}

// sealRequest moves what the application sent out of sight, and returns the body as it goes to the disk.
func (s *Store) sealRequest(id string, r *record, body []byte) ([]byte, error) {
	if s.config.Seal != nil {
		if len(body) > 0 {
			body = s.config.Seal.Seal(id, partBody, body)
		}
		if err := s.hide(id, r, request{r.Target, r.Fields, r.Fingerprint}); err != nil {
			return nil, err
		}
	}
	r.Body = digestOf(body)
	return body, nil
}

func (s *Store) hide(id string, r *record, q request) error {
	text, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("encode an accepted exchange: %w", err)
	}
	r.Target, r.Fields, r.Fingerprint = nil, nil, nil
	r.Sealed = s.config.Seal.Seal(id, partRequest, text)
	return nil
}

// request opens what a record holds of the call: seal.ErrUnknownKey, or errDamaged, when that is not to be had.
func (s *Store) request(id string, r *record) (q request, err error) {
	if r.Sealed == nil {
		return request{r.Target, r.Fields, r.Fingerprint}, nil
	}
	text, err := s.open(id, partRequest, r.Sealed)
	if err == nil && json.Unmarshal(text, &q) != nil {
		err = errDamaged
	}
	return q, err
}

func (s *Store) open(id, part string, sealed []byte) ([]byte, error) {
	content, err := s.config.Seal.Open(id, part, sealed)
	if err != nil && !errors.Is(err, seal.ErrUnknownKey) {
		err = errDamaged
	}
	return content, err
}

// exchange builds what callers see, without the bodies. One that is sealed with an unknown key says so.
func (s *Store) exchange(id string, r *record) (*Exchange, error) {
	x := r.exchange(id)
	q, err := s.request(id, r)
	switch {
	case errors.Is(err, seal.ErrUnknownKey):
		x.SealedWith = seal.KeyName(r.Sealed)
		return x, nil
	case err != nil:
		return nil, err
	}
	x.Target, x.Fields = string(q.Target), unpack(q.Fields)
	copy(x.Fingerprint[:], q.Fingerprint)
	return x, nil
}

// openBody returns the request's body of x as the application sent it.
func (s *Store) openBody(x *Exchange, r *record, onDisk []byte) (err error) {
	switch {
	case x.SealedWith != "":
		x.SealedBody = max(0, len(onDisk)-seal.Overhead)
	case r.Sealed == nil || len(onDisk) == 0:
		x.Body = onDisk
	default:
		x.Body, err = s.open(x.ID, partBody, onDisk)
	}
	return err
}

// shorten leaves of an ended exchange's request only what tells it from another with the same key.
func (s *Store) shorten(id string, r *record) error {
	r.Fields, r.Body = nil, digest{}
	if r.Sealed == nil {
		return nil
	}
	q, err := s.request(id, r)
	if err != nil { // kept as it is: it tells nobody anything
		return nil
	}
	return s.hide(id, r, request{Target: q.Target, Fingerprint: q.Fingerprint})
}

// sealAnswer makes what goes to the disk of a result, and of its body.
func (s *Store) sealAnswer(id string, in Result) (*result, []byte, error) {
	out := &result{Status: in.Status, Omitted: in.Omitted, Problem: in.Problem, LetterID: in.LetterID}
	if s.config.Seal == nil {
		out.Fields, out.Body = pack(in.Fields), digestOf(in.Body)
		return out, in.Body, nil
	}
	text, err := json.Marshal(pack(in.Fields))
	if err != nil {
		return nil, nil, fmt.Errorf("encode the end of an accepted exchange: %w", err)
	}
	out.Sealed = s.config.Seal.Seal(id, partAnswer, text)
	body := in.Body
	if len(body) > 0 {
		body = s.config.Seal.Seal(id, partAnswerBody, body)
	}
	out.Body = digestOf(body)
	return out, body, nil
}

// answer completes the result of an ended exchange. What cannot be read of it is left out.
func (s *Store) answer(x *Exchange, r *result, onDisk []byte, whole bool) {
	if x.Result.Body = onDisk; r.Sealed != nil {
		var fields [][2][]byte
		text, err := s.open(x.ID, partAnswer, r.Sealed)
		if err == nil && json.Unmarshal(text, &fields) == nil {
			x.Result.Fields = unpack(fields)
		}
		if err == nil && len(onDisk) > 0 {
			x.Result.Body, err = s.open(x.ID, partAnswerBody, onDisk)
		}
		whole = whole && err == nil
	}
	if !whole {
		x.Result.Body, x.Result.Omitted = nil, true
	}
}
