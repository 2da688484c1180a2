package dlq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Header is one field of a letter's call.
type Header struct{ Name, Value string }

// Headers are the fields of a letter's call. In JSON they are an object, as the specification has it, in the order of
// the fields; the values of a field that came more than once are joined by a comma (RFC 9110 section 5.3).
type Headers []Header

// MarshalJSON implements json.Marshaler.
func (h Headers) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range h.combined() {
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (h Headers) combined() Headers {
	out := make(Headers, 0, len(h))
next:
	for _, f := range h {
		for i := range out {
			if strings.EqualFold(out[i].Name, f.Name) {
				out[i].Value += ", " + f.Value
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// UnmarshalJSON implements json.Unmarshaler and keeps the order.
func (h *Headers) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil {
		return err
	}
	if open == nil {
		*h = nil
		return nil
	}
	if open != json.Delim('{') {
		return fmt.Errorf("headers are an object, not %v", open)
	}
	*h = Headers{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		f := Header{Name: name.(string)} // a key of an object is always text
		if err := d.Decode(&f.Value); err != nil {
			return err
		}
		*h = append(*h, f)
	}
	_, err = d.Token()
	return err
}
