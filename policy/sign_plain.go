package policy

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
)

func (s *Sign) checkPlain(r Report) {
	if _, err := parseTemplate(s.Content); err != nil {
		r.Fault("sign.content", err.Error())
	}
	for path, name := range map[string]string{"sign.header": s.Header, "sign.timestamp_header": s.TimestampHeader, "sign.id_header": s.IDHeader} {
		if fault := fieldFault(name); fault != "" {
			r.Fault(path, fault)
		}
	}
	if strings.ContainsAny(s.Prefix, "\r\n\x00") {
		r.Fault("sign.prefix", "holds a control character")
	}
}

func (s *Sign) plainFields() [][2]string {
	list := [][2]string{{"sign.header", s.Header}}
	content, _ := parseTemplate(s.Content) // nil, and so without places, when checkPlain finds it at fault
	if content.uses(placeTimestamp) {
		list = append(list, [2]string{"sign.timestamp_header", s.TimestampHeader})
	}
	if content.uses(placeID) {
		list = append(list, [2]string{"sign.id_header", s.IDHeader})
	}
	return list
}

// plainSigner is HMAC-SHA256 over text that the configuration lays out.
type plainSigner struct {
	*Sign
	content    template
	stamped    bool // the content uses {timestamp}
	identified bool // the content uses {id}
	key        prepared[*signature.MAC]
}

func newPlainSigner(s *Sign) (*plainSigner, error) {
	content, err := parseTemplate(s.Content)
	if err != nil {
		return nil, err
	}
	p := &plainSigner{Sign: s, content: content, stamped: content.uses(placeTimestamp), identified: content.uses(placeID)}
	p.key.ref, p.key.parse = s.Secret, parseMAC(s.SecretEncoding)
	return p, nil
}

// parseMAC reads a shared secret that is kept in an encoding.
func parseMAC(encoding string) func(text []byte) (*signature.MAC, error) {
	return func(text []byte) (*signature.MAC, error) {
		key, err := signature.Decode(encoding, text)
		if err != nil {
			return nil, err
		}
		return signature.NewMAC(key), nil
	}
}

func (s *plainSigner) sign(x *Exchange, r signature.Request, keys []secret.Value) error {
	key, err := s.key.key(keys[0])
	if err != nil {
		return err
	}
	in := filling{x: x, timestamp: strconv.FormatInt(x.nextSecond(), 10), body: r.Body.Bytes, request: r}
	if s.identified {
		in.id = dlq.NewID()
		r.Fields.Set(s.IDHeader, in.id)
	}
	var sum [32]byte
	r.Fields.Set(s.Header, s.Prefix+encodeMAC(s.Encoding, s.content.sum(key, &in, sum[:0])))
	if s.stamped {
		r.Fields.Set(s.TimestampHeader, in.timestamp)
	}
	return nil
}

func encodeMAC(encoding string, sum []byte) string {
	if encoding == "base64" {
		return base64.StdEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}
