package dlq

import "unicode/utf8"

// Raw are the bytes of a call whose target or headers are not UTF-8. A replay sends these.
type Raw struct {
	Target  []byte      `json:"target"` // base64 in JSON, as everything here
	Headers [][2][]byte `json:"headers"`
}

// KeepRaw keeps the bytes of target and headers beside their text when the text would not be the same.
func (m *Message) KeepRaw() {
	faithful := utf8.ValidString(m.Target)
	for _, h := range m.Headers {
		faithful = faithful && utf8.ValidString(h.Value)
	}
	if faithful {
		return
	}
	m.Raw = &Raw{Target: []byte(m.Target)}
	for _, h := range m.Headers {
		m.Raw.Headers = append(m.Raw.Headers, [2][]byte{[]byte(h.Name), []byte(h.Value)})
	}
}

// Sent returns target and headers as the application sent them.
func (m *Message) Sent() (target string, headers Headers) {
	if m.Raw == nil {
		return m.Target, m.Headers
	}
	for _, h := range m.Raw.Headers {
		headers = append(headers, Header{string(h[0]), string(h[1])})
	}
	return string(m.Raw.Target), headers
}
