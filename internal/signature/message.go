package signature

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The fields of RFC 9421 section 4.
const (
	SignatureInput = "Signature-Input"
	SignatureField = "Signature"
)

// Component is one part of a message that a signature covers (RFC 9421 section 2), such as @method or content-type.
type Component struct {
	name       string // lower case
	ofRequest  bool   // ;req: of the request that the response answers
	identifier string // as the signature base writes it
}

// derivedRequest and derivedResponse are the derived components that this package knows (RFC 9421 section 2.2).
// @request-target is left out: its value depends on the HTTP version, which is settled only when a connection is.
var (
	derivedRequest  = []string{"@method", "@target-uri", "@authority", "@scheme", "@path", "@query"}
	derivedResponse = []string{"@status"}
)

// ParseComponent reads the name of a component as the configuration writes it; "" as a fault means that it is one.
// Those of a response may end in ;req.
func ParseComponent(text string, response bool) (c Component, fault string) {
	name, parameter, _ := strings.Cut(strings.ToLower(text), ";")
	c = Component{name: name, ofRequest: parameter == "req", identifier: strconv.Quote(name)}
	if c.ofRequest {
		c.identifier += ";req"
	}
	switch {
	case parameter != "" && !(c.ofRequest && response):
		return c, "has a parameter that is not supported"
	case name == "signature" || name == "signature-input":
		return c, "is the signature itself"
	case strings.HasPrefix(name, "@"):
		if !c.known(response) {
			return c, "is not one of " + strings.Join(append(append([]string(nil), derivedRequest...), derivedResponse...), ", ")
		}
	case !isFieldName(name):
		return c, "is not a field name"
	}
	return c, ""
}

// known reports whether a derived component exists for the message it is taken from.
func (c Component) known(response bool) bool {
	list := derivedRequest
	if response && !c.ofRequest {
		list = derivedResponse
	}
	for _, name := range list {
		if name == c.name {
			return true
		}
	}
	return false
}

// isFieldName reports whether s is a token in lower case (RFC 9110 section 5.6.2).
func isFieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// message is what a signature covers: a request, or a response and the request it answers.
type message struct {
	request  Request
	response *wire.Response // nil: the request is signed
}

// value is the value of a component in the signature base; false when the message has no such component.
func (m message) value(c Component) (string, bool) {
	if m.response == nil || c.ofRequest {
		return requestValue(m.request, c.name)
	}
	if c.name == "@status" {
		return strconv.Itoa(m.response.Status), true
	}
	return combined(m.response.Fields, c.name)
}

func requestValue(r Request, name string) (string, bool) {
	switch name {
	case "@method":
		return r.Method, true
	case "@target-uri":
		return r.Scheme + "://" + r.Authority + r.Target, true
	case "@authority":
		return r.Authority, true
	case "@scheme":
		return r.Scheme, true
	case "@path":
		return r.Path(), true
	case "@query":
		return "?" + r.Query(), true
	}
	return r.Field(name)
}

// MessageSigner signs requests with HTTP Message Signatures, compiled.
type MessageSigner struct {
	Label      string
	Components []Component
	fixed      string // the parameters that are the same in every signature, serialised
}

// NewMessageSigner takes the parameters that do not change; empty ones are left out. keyID and tag must be printable
// ASCII, label a key of a structured dictionary.
func NewMessageSigner(label string, components []Component, keyID, algorithm, tag string) (*MessageSigner, error) {
	s := &MessageSigner{Label: label, Components: components}
	for _, p := range [...][2]string{{"keyid", keyID}, {"alg", algorithm}, {"tag", tag}} {
		if p[1] == "" {
			continue
		}
		text, err := httpsfv.Marshal(httpsfv.NewItem(p[1]))
		if err != nil {
			return nil, Fault(p[0] + " is not printable ASCII")
		}
		s.fixed += ";" + p[0] + "=" + text
	}
	return s, nil
}

// Times are the parameters of one signature: Unix seconds (Expires 0: none) and a nonce ("": none), which must need no
// escapes in a structured string.
type Times struct {
	Created, Expires int64
	Nonce            string
}

// Sign returns the values of Signature-Input and Signature. A field that the request does not have is not covered.
func (s *MessageSigner) Sign(r Request, k *Key, t Times) (input, sig string, err error) {
	var base, params strings.Builder
	base.Grow(512)
	params.Grow(256)
	params.WriteByte('(')
	for _, c := range s.Components {
		value, found := requestValue(r, c.name)
		if !found {
			continue
		}
		if params.Len() > 1 {
			params.WriteByte(' ')
		}
		params.WriteString(c.identifier)
		writeLine(&base, c.identifier, value)
	}
	params.WriteString(");created=")
	params.WriteString(strconv.FormatInt(t.Created, 10))
	if t.Expires != 0 {
		params.WriteString(";expires=")
		params.WriteString(strconv.FormatInt(t.Expires, 10))
	}
	if t.Nonce != "" {
		params.WriteString(`;nonce="` + t.Nonce + `"`)
	}
	params.WriteString(s.fixed)
	base.WriteString(`"@signature-params": `)
	base.WriteString(params.String())
	sum, err := k.sign(base.String())
	if err != nil {
		return "", "", err
	}
	return s.Label + "=" + params.String(), s.Label + "=:" + base64.StdEncoding.EncodeToString(sum) + ":", nil
}

// writeLine adds one line to a signature base (RFC 9421 section 2.5).
func writeLine(base *strings.Builder, identifier, value string) {
	base.WriteString(identifier)
	base.WriteString(": ")
	base.WriteString(value)
	base.WriteByte('\n')
}
