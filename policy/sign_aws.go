package policy

import (
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
)

func (s *Sign) checkAWS(r Report) {
	var missing []string
	for _, needed := range [...]struct{ key, value string }{{"access_key_id", string(s.AccessKeyID)}, {"region", s.Region}, {"service", s.Service}} {
		if needed.value == "" {
			missing = append(missing, needed.key)
		}
	}
	if len(missing) > 0 {
		r.Fault("sign", "needs "+strings.Join(missing, ", ")+" with scheme "+schemeAWS)
	}
}

// awsSigner is AWS Signature Version 4 in the header.
type awsSigner struct {
	key prepared[*signature.AWSKey]
	id  prepared[string]
	// token is sent with temporary credentials only.
	token prepared[string]
}

func newAWSSigner(s *Sign) *awsSigner {
	a := new(awsSigner)
	a.key.ref, a.id.ref, a.token.ref = s.Secret, s.AccessKeyID, s.SessionToken
	a.key.parse = func(text []byte) (*signature.AWSKey, error) {
		return signature.NewAWSKey(text, s.Region, s.Service), nil
	}
	a.id.parse, a.token.parse = parseFieldValue, parseFieldValue
	return a
}

// parseFieldValue takes what can stand in a field.
func parseFieldValue(text []byte) (string, error) {
	if !fieldValue(text) {
		return "", signature.Fault("it holds a character that no HTTP field can carry")
	}
	return string(text), nil
}

func (a *awsSigner) sign(x *Exchange, r signature.Request, values []secret.Value) error {
	key, err := a.key.key(values[0])
	if err != nil {
		return err
	}
	id, err := a.id.key(values[1])
	if err != nil {
		return err
	}
	r.Fields.Del(signature.AWSToken) // the application's would not fit the key
	if len(values) > 2 {
		token, err := a.token.key(values[2])
		if err != nil {
			return err
		}
		r.Fields.Set(signature.AWSToken, token)
	}
	hash := signature.PayloadHash(r.Body.Bytes)
	r.Fields.Set(signature.AWSContentSHA256, hash)
	r.Fields.Set("Authorization", key.Sign(r, id, hash, time.Unix(x.nextSecond(), 0)))
	return nil
}
