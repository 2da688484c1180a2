package signature

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"
)

// The fields of Standard Webhooks.
const (
	WebhookID        = "webhook-id"
	WebhookTimestamp = "webhook-timestamp"
	WebhookSignature = "webhook-signature"
)

// maxSignatures bounds how many signatures of one message are looked at.
const maxSignatures = 16

// ParseWebhookKey reads a key as Standard Webhooks writes it: whsec_ and base64 of a shared secret (the prefix may be
// missing), whsk_ and base64 of an Ed25519 private key, whpk_ and base64 of a public one. The base64 of a shared secret
// is the standard one, padded: a passphrase that is none should be found out, and not be decoded to something.
func ParseWebhookKey(text []byte) (*Key, error) {
	text = bytes.TrimSpace(text)
	if private, ok := bytes.CutPrefix(text, []byte("whsk_")); ok {
		raw, err := decodeBase64(private)
		if err != nil {
			return nil, err
		}
		return rawPrivateKey(raw)
	}
	if public, ok := bytes.CutPrefix(text, []byte("whpk_")); ok {
		return ParsePublicKey(public)
	}
	shared, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimPrefix(text, []byte("whsec_"))))
	switch {
	case err != nil:
		return nil, notBase64
	case len(shared) == 0:
		return nil, emptyKey
	}
	return NewSharedKey(shared), nil
}

// SignWebhook returns the value of webhook-signature: one signature for each key. id must not hold a full stop.
func SignWebhook(keys []*Key, id, timestamp string, body []byte) (string, error) {
	var value strings.Builder
	for i, k := range keys {
		sig, err := k.signWebhook(id, timestamp, body)
		if err != nil {
			return "", err
		}
		if i > 0 {
			value.WriteByte(' ')
		}
		value.WriteString(k.webhookVersion())
		value.WriteByte(',')
		value.WriteString(base64.StdEncoding.EncodeToString(sig))
	}
	return value.String(), nil
}

// VerifyWebhook checks the three fields of a message against its body: one signature by one of the keys is enough.
func VerifyWebhook(keys []*Key, id, timestamp, signatures string, body []byte, now time.Time, tolerance time.Duration) error {
	if signatures == "" {
		return Missing
	}
	if id == "" || strings.Contains(id, ".") { // the signed text would have two readings
		return Malformed
	}
	if err := Fresh(timestamp, now, tolerance); err != nil {
		return err
	}
	for n, candidate := range strings.SplitN(signatures, " ", maxSignatures+1) {
		version, text, _ := strings.Cut(candidate, ",")
		sig, err := base64.StdEncoding.Strict().DecodeString(text)
		if n == maxSignatures || err != nil {
			continue
		}
		for _, k := range keys {
			if k.webhookVersion() == version && k.verifiesWebhook(id, timestamp, body, sig) {
				return nil
			}
		}
	}
	return Mismatch
}

func (k *Key) webhookVersion() string {
	if k.mac != nil {
		return "v1"
	}
	return "v1a"
}

func (k *Key) signWebhook(id, timestamp string, body []byte) ([]byte, error) {
	if k.mac == nil {
		return k.sign(webhookContent(id, timestamp, body))
	}
	return k.webhookMAC(id, timestamp, body), nil
}

func (k *Key) verifiesWebhook(id, timestamp string, body, sig []byte) bool {
	if k.mac == nil {
		return k.verifies(webhookContent(id, timestamp, body), sig)
	}
	return Equal(k.webhookMAC(id, timestamp, body), sig)
}

// webhookMAC spares the copy of a body that Ed25519, which reads its content twice, cannot do without.
func (k *Key) webhookMAC(id, timestamp string, body []byte) []byte {
	h := k.mac.Begin()
	_, _ = h.Write([]byte(id + "." + timestamp + "."))
	_, _ = h.Write(body)
	return k.mac.End(h, nil)
}

func webhookContent(id, timestamp string, body []byte) string {
	return id + "." + timestamp + "." + string(body)
}
