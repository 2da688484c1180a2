package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
)

// webhookSigner is Standard Webhooks 1.0: one signature for each of the keys.
type webhookSigner struct {
	keys [2]prepared[*signature.Key] // of secret and previous
}

func newWebhookSigner(s *Sign) *webhookSigner {
	w := new(webhookSigner)
	w.keys[0].ref, w.keys[1].ref = s.Secret, s.Previous
	w.keys[0].parse, w.keys[1].parse = signature.ParseWebhookKey, signature.ParseWebhookKey
	return w
}

func (w *webhookSigner) sign(x *Exchange, r signature.Request, values []secret.Value) error {
	keys := make([]*signature.Key, 0, 2)
	for i, v := range values {
		if i == 1 && bytes.Equal(v.Reveal(), values[0].Reveal()) { // a rotation that has begun with the copy
			continue
		}
		key, err := w.keys[i].key(v)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	id, timestamp := x.webhookID(), strconv.FormatInt(x.nextSecond(), 10)
	value, err := signature.SignWebhook(keys, id, timestamp, r.Body.Bytes)
	if err != nil {
		return err
	}
	r.Fields.Set(signature.WebhookID, id)
	r.Fields.Set(signature.WebhookTimestamp, timestamp)
	r.Fields.Set(signature.WebhookSignature, value)
	return nil
}

// webhookID is the same in every attempt of an exchange, in those of its letter, and in every call with the same
// idempotency key in the same scope: receivers drop duplicates by it. It is a hash, because an application may put a
// full stop into its key, and then what is signed would have two readings.
func (x *Exchange) webhookID() string {
	if x.Key.Value == "" {
		return "msg_" + x.NewLetterID()
	}
	sum := sha256.Sum256([]byte(x.Key.Scope + "\n" + x.Key.Value))
	return "msg_" + hex.EncodeToString(sum[:16])
}
