package policy

import (
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// Sign puts a signature on each attempt.
type Sign struct {
	Scheme          string     `yaml:"scheme" default:"hmac-sha256" enum:"hmac-sha256,standard-webhooks,http-message-signatures" later:"standard-webhooks,http-message-signatures" doc:"Signature scheme."`
	Secret          secret.Ref `yaml:"secret" required:"true" doc:"Signing key."`
	Header          string     `yaml:"header" default:"X-Signature" doc:"Field that carries the signature."`
	Encoding        string     `yaml:"encoding" default:"hex" enum:"hex,base64" doc:"Encoding of the MAC."`
	Prefix          string     `yaml:"prefix" doc:"Text before the encoded MAC, such as sha256=."`
	TimestampHeader string     `yaml:"timestamp_header" default:"X-Timestamp" doc:"Field that carries the signing time in Unix seconds, when the content uses {timestamp}."`
	IDHeader        string     `yaml:"id_header" default:"X-Request-ID" doc:"Field that carries the fresh id of the attempt, when the content uses {id}."`
	Content         string     `yaml:"content" default:"{body}" doc:"What is signed: text with {body}, {timestamp}, {method}, {path}, {query}, {key}, {id} (a fresh id per attempt) and {header:Name}."`
	VerifyResponse  string     `yaml:"verify_response" default:"off" later:"*" doc:"Verification of signed responses."`
}

func (s *Sign) check(r Report) {
	if _, err := parseTemplate(s.Content); err != nil {
		r.Fault("sign.content", err.Error())
	}
	for path, name := range map[string]string{"sign.header": s.Header, "sign.timestamp_header": s.TimestampHeader, "sign.id_header": s.IDHeader} {
		if !validFieldName(name) {
			r.Fault(path, "is not a field name")
		}
	}
	if strings.ContainsAny(s.Prefix, "\r\n\x00") {
		r.Fault("sign.prefix", "holds a control character")
	}
}
