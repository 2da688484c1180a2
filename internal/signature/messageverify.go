package signature

import (
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The faults of HTTP Message Signatures.
const (
	wrongLabel   Fault = "it has no signature with the label that is asked for"
	wrongKeyID   Fault = "its signature is by another key"
	notCovered   Fault = "its signature does not cover all that it must"
	notSupported Fault = "its signature covers a component that is not supported"
	notThere     Fault = "its signature covers a component that it does not have"
	expired      Fault = "its signature has expired"
)

// MessageVerifier says which HTTP Message Signature of a response is believed.
type MessageVerifier struct {
	Label     string      // "": any
	KeyID     string      // "": any
	Required  []Component // content-digest only of a response that has a body
	Tolerance time.Duration
}

// Verify checks a response that was read whole against the request it answers. One signature that is as asked for is
// enough.
func (v *MessageVerifier) Verify(resp *wire.Response, r Request, keys []*Key, now time.Time) error {
	return v.verify(message{request: r, response: resp}, resp.Fields, resp.Content, keys, now)
}

// VerifyRequest does the same for a request.
func (v *MessageVerifier) VerifyRequest(r Request, keys []*Key, now time.Time) error {
	return v.verify(message{request: r}, r.Fields, r.Body.Bytes, keys, now)
}

func (v *MessageVerifier) verify(m message, fields wire.Fields, body []byte, keys []*Key, now time.Time) error {
	inputText, hasInput := combined(fields, SignatureInput)
	sigText, hasSig := combined(fields, SignatureField)
	if !hasInput && !hasSig {
		return Missing
	}
	inputs, err := httpsfv.UnmarshalDictionary([]string{inputText})
	if err != nil {
		return Malformed
	}
	sigs, err := httpsfv.UnmarshalDictionary([]string{sigText})
	if err != nil {
		return Malformed
	}
	var fault error = wrongLabel
	for n, label := range inputs.Names() {
		if v.Label != "" && label != v.Label || n >= maxSignatures {
			continue
		}
		one := &claim{verifier: v, message: m, fields: fields, body: body}
		if fault = one.judge(inputs, sigs, label, keys, now); fault == nil {
			return nil
		}
	}
	return fault
}

// claim is one signature of a message.
type claim struct {
	verifier *MessageVerifier
	message  message
	fields   wire.Fields
	body     []byte
	covered  []Component
}

func (c *claim) judge(inputs, sigs *httpsfv.Dictionary, label string, keys []*Key, now time.Time) error {
	member, _ := inputs.Get(label)
	input, ok := member.(httpsfv.InnerList)
	if !ok || input.Params == nil {
		return Malformed
	}
	member, _ = sigs.Get(label)
	item, _ := member.(httpsfv.Item)
	sig, ok := item.Value.([]byte)
	if !ok {
		return Malformed
	}
	if err := c.verifier.checkParams(input.Params, now); err != nil {
		return err
	}
	base, err := c.base(input)
	if err != nil {
		return err
	}
	if err := c.coversEnough(); err != nil {
		return err
	}
	if !anyVerifies(keys, input.Params, base, sig) {
		return Mismatch
	}
	return nil
}

// checkParams looks at what the signature says of itself (RFC 9421 section 2.3). Its time must be there: a signature
// without one could be kept for ever.
func (v *MessageVerifier) checkParams(p *httpsfv.Params, now time.Time) error {
	created, found := p.Get("created")
	if !found {
		return NoTime
	}
	seconds, ok := created.(int64)
	if !ok {
		return Malformed
	}
	if err := near(seconds, now, v.Tolerance); err != nil {
		return err
	}
	if expires, found := p.Get("expires"); found {
		if at, ok := expires.(int64); !ok {
			return Malformed
		} else if now.Unix() > at {
			return expired
		}
	}
	if keyID, _ := p.Get("keyid"); v.KeyID != "" && keyID != v.KeyID {
		return wrongKeyID
	}
	return nil
}

// base builds the signature base (RFC 9421 section 2.5) from what the signature says that it covers.
func (c *claim) base(input httpsfv.InnerList) (string, error) {
	var b strings.Builder
	for _, item := range input.Items {
		name, ok := item.Value.(string)
		if !ok {
			return "", Malformed
		}
		for _, p := range item.Params.Names() {
			if p != "req" {
				return "", notSupported
			}
			name += ";" + p
		}
		component, fault := ParseComponent(name, c.message.response != nil)
		if fault != "" || component.identifier != identifierOf(item) {
			return "", notSupported
		}
		if slices.Contains(c.covered, component) {
			return "", Malformed
		}
		value, found := c.message.value(component)
		if !found {
			return "", notThere
		}
		c.covered = append(c.covered, component)
		writeLine(&b, component.identifier, value)
	}
	params, err := httpsfv.Marshal(httpsfv.List{input})
	if err != nil {
		return "", Malformed
	}
	return b.String() + `"@signature-params": ` + params, nil
}

// identifierOf is a component as the response writes it: what differs in case or in its parameter's value is another.
func identifierOf(item httpsfv.Item) string {
	text, _ := httpsfv.Marshal(item)
	return text
}

// coversEnough checks that what must be signed is, and that a digest that stands for the body is its own.
func (c *claim) coversEnough() error {
	for _, r := range c.verifier.Required {
		if !slices.Contains(c.covered, r) && !(r.isDigest() && len(c.body) == 0) {
			return notCovered
		}
	}
	resp := c.message.response
	noContent := resp != nil && (c.message.request.Method == "HEAD" || resp.Status == 304) // the digest is that of the GET
	if slices.ContainsFunc(c.covered, Component.isDigest) && !noContent {
		return CheckDigest(c.fields, c.body)
	}
	return nil
}

func (c Component) isDigest() bool { return c.name == "content-digest" && !c.ofRequest }

// anyVerifies tries the keys whose algorithm the signature does not rule out.
func anyVerifies(keys []*Key, p *httpsfv.Params, base string, sig []byte) bool {
	algorithm, stated := p.Get("alg")
	for _, k := range keys {
		if (!stated || algorithm == k.Algorithm()) && k.verifies(base, sig) {
			return true
		}
	}
	return false
}
