package policy

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func (v *VerifyResponse) compile(s *Sign) (verifier, error) {
	switch v.scheme(s) {
	case schemeWebhooks:
		w := &webhookVerifier{tolerance: v.Tolerance.D()}
		w.keys.init(v, signature.ParseWebhookKey)
		return w, nil
	case schemeMessage:
		m := &messageVerifier{MessageVerifier: signature.MessageVerifier{Label: v.Label, KeyID: v.KeyID, Required: parseComponents(v.Components, true), Tolerance: v.Tolerance.D()}}
		m.keys.init(v, parseMessageKey(v.Algorithm, v.SecretEncoding, signature.ParsePublicKey))
		return m, nil
	}
	content, err := parseResponseTemplate(v.Content)
	if err != nil {
		return nil, err
	}
	p := &plainVerifier{VerifyResponse: v, content: content, stamped: content.uses(placeTimestamp)}
	p.keys.init(v, parseMAC(v.SecretEncoding))
	return p, nil
}

// pair are the keys made from secret and previous.
type pair[K any] [2]prepared[K]

func (p *pair[K]) init(v *VerifyResponse, parse func([]byte) (K, error)) {
	p[0].ref, p[1].ref = v.Secret, v.Previous
	p[0].parse, p[1].parse = parse, parse
}

func (p *pair[K]) of(values []secret.Value) ([]K, error) {
	keys := make([]K, len(values))
	for i, v := range values {
		key, err := p[i].key(v)
		if err != nil {
			return nil, err
		}
		keys[i] = key
	}
	return keys, nil
}

type webhookVerifier struct {
	tolerance time.Duration
	keys      pair[*signature.Key]
}

func (w *webhookVerifier) prepare(values []secret.Value) (judge, error) {
	keys, err := w.keys.of(values)
	return func(_ *Exchange, _ signature.Request, resp *wire.Response, now time.Time) error {
		f := resp.Fields
		return signature.VerifyWebhook(keys, f.Get(signature.WebhookID), f.Get(signature.WebhookTimestamp), f.Get(signature.WebhookSignature), resp.Content, now, w.tolerance)
	}, err
}

type messageVerifier struct {
	signature.MessageVerifier
	keys pair[*signature.Key]
}

func (m *messageVerifier) prepare(values []secret.Value) (judge, error) {
	keys, err := m.keys.of(values)
	return func(_ *Exchange, r signature.Request, resp *wire.Response, now time.Time) error {
		return m.Verify(resp, r, keys, now)
	}, err
}

// plainVerifier is HMAC-SHA256 over text that the configuration lays out.
type plainVerifier struct {
	*VerifyResponse
	content template
	stamped bool // the content uses {timestamp}
	keys    pair[*signature.MAC]
}

func (p *plainVerifier) prepare(values []secret.Value) (judge, error) {
	keys, err := p.keys.of(values)
	return func(x *Exchange, r signature.Request, resp *wire.Response, now time.Time) error {
		in := filling{x: x, request: r, response: resp, body: resp.Content, timestamp: resp.Fields.Get(p.TimestampHeader), id: resp.Fields.Get(p.IDHeader)}
		return p.verify(keys, &in, now)
	}, err
}

func (p *plainVerifier) verify(keys []*signature.MAC, in *filling, now time.Time) error {
	text := in.response.Fields.Get(p.Header)
	if text == "" {
		return signature.Missing
	}
	text, found := strings.CutPrefix(text, p.Prefix)
	theirs, err := decodeMAC(p.Encoding, text)
	if !found || err != nil {
		return signature.Malformed
	}
	if p.stamped {
		if err := signature.Fresh(in.timestamp, now, p.Tolerance.D()); err != nil {
			return err
		}
	}
	for _, key := range keys {
		var sum [32]byte
		if signature.Equal(p.content.sum(key, in, sum[:0]), theirs) {
			return nil
		}
	}
	return signature.Mismatch
}

func decodeMAC(encoding, text string) ([]byte, error) {
	if encoding == "base64" {
		return base64.StdEncoding.Strict().DecodeString(text)
	}
	return hex.DecodeString(text)
}
