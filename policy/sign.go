package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The signature schemes.
const (
	schemePlain    = "hmac-sha256"
	schemeWebhooks = "standard-webhooks"
	schemeMessage  = "http-message-signatures"
	schemeAWS      = "aws-sigv4"
)

// Sign puts a signature on each attempt. The tag schemes names those that a key is for; a key without it is for all.
type Sign struct {
	Scheme         string     `yaml:"scheme" default:"hmac-sha256" enum:"hmac-sha256,standard-webhooks,http-message-signatures,aws-sigv4" doc:"Signature scheme."`
	Secret         secret.Ref `yaml:"secret" required:"true" doc:"Signing key: a shared secret (whsec_ or whsk_ with standard-webhooks), an Ed25519 private key (PEM or base64), or the secret access key of AWS."`
	SecretEncoding string     `yaml:"secret_encoding" default:"raw" enum:"raw,base64,hex" schemes:"hmac-sha256,http-message-signatures" doc:"How a shared secret is written where it is kept."`
	Previous       secret.Ref `yaml:"previous" schemes:"standard-webhooks" doc:"Key before the last rotation: both sign, until the provider knows the new one."`

	Header          string `yaml:"header" default:"X-Signature" schemes:"hmac-sha256" doc:"Field that carries the signature."`
	Encoding        string `yaml:"encoding" default:"hex" enum:"hex,base64" schemes:"hmac-sha256" doc:"Encoding of the MAC."`
	Prefix          string `yaml:"prefix" schemes:"hmac-sha256" doc:"Text before the encoded MAC, such as sha256=."`
	TimestampHeader string `yaml:"timestamp_header" default:"X-Timestamp" schemes:"hmac-sha256" doc:"Field that carries the signing time in Unix seconds, when the content uses {timestamp}."`
	IDHeader        string `yaml:"id_header" default:"X-Request-ID" schemes:"hmac-sha256" doc:"Field that carries the fresh id of the attempt, when the content uses {id}."`
	Content         string `yaml:"content" default:"{body}" schemes:"hmac-sha256" doc:"What is signed: text with {body}, {timestamp}, {method}, {path}, {query}, {key}, {id} (a fresh id per attempt) and {header:Name}."`

	Algorithm  string         `yaml:"algorithm" default:"hmac-sha256" enum:"hmac-sha256,ed25519" schemes:"http-message-signatures" doc:"Algorithm of RFC 9421."`
	KeyID      string         `yaml:"key_id" schemes:"http-message-signatures" pattern:"^[ -~]+$" doc:"keyid by which the provider finds the key."`
	Label      string         `yaml:"label" default:"sig1" schemes:"http-message-signatures" pattern:"^[a-z*][a-z0-9_.*-]*$" doc:"Label of the signature in Signature-Input and Signature."`
	Components []string       `yaml:"components" default:"@method,@target-uri,content-digest,content-type" schemes:"http-message-signatures" doc:"What is signed: @method, @target-uri, @authority, @scheme, @path, @query and names of fields; a field that a call does not have is left out. content-digest is set on calls with a body."`
	Expires    units.Duration `yaml:"expires" default:"0s" min:"0s" max:"24h" schemes:"http-message-signatures" doc:"How long a signature says that it is valid; 0s says nothing."`
	Nonce      bool           `yaml:"nonce" default:"true" schemes:"http-message-signatures" doc:"Put a fresh nonce into each signature. Without it a second signature within a second is dated one second ahead."`
	Tag        string         `yaml:"tag" schemes:"http-message-signatures" pattern:"^[ -~]+$" doc:"tag that names the application's profile of RFC 9421."`

	AccessKeyID  secret.Ref `yaml:"access_key_id" schemes:"aws-sigv4" doc:"Access key id of AWS."`
	SessionToken secret.Ref `yaml:"session_token" schemes:"aws-sigv4" doc:"Session token of temporary AWS credentials."`
	Region       string     `yaml:"region" schemes:"aws-sigv4" pattern:"^[a-z0-9-]+$" doc:"Region, such as eu-central-1."`
	Service      string     `yaml:"service" schemes:"aws-sigv4" pattern:"^[a-z0-9-]+$" doc:"Service, such as execute-api or s3."`

	VerifyResponse *VerifyResponse `yaml:"verify_response" default:"off" doc:"Verification of signed responses."`
}

func (s *Sign) check(r Report) {
	misplaced(r, "sign", s.Scheme, s)
	switch s.Scheme {
	case schemePlain:
		s.checkPlain(r)
	case schemeMessage:
		s.checkMessage(r)
	case schemeAWS:
		s.checkAWS(r)
	}
	if s.VerifyResponse != nil {
		s.VerifyResponse.check(s, r)
	}
}

// misplaced reports keys of a block that are set although they are for another scheme.
func misplaced(r Report, path, scheme string, block any) {
	v := reflect.ValueOf(block).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		schemes := strings.Split(tag.Get("schemes"), ",")
		if schemes[0] == "" || slices.Contains(schemes, scheme) || v.Field(i).IsZero() || asWritten(v.Field(i)) == tag.Get("default") {
			continue
		}
		r.Fault(path+"."+tag.Get("yaml"), "belongs to scheme "+strings.Join(schemes, " or ")+", and this one is "+scheme+"; leave it out, or set it back to its built-in value")
	}
}

func asWritten(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

// secrets are the references that signing resolves, in the order in which the schemes take their values.
func (s *Sign) secrets() []secret.Ref {
	refs := []secret.Ref{s.Secret}
	if s.Scheme == schemeAWS {
		refs = append(refs, s.AccessKeyID)
	}
	for _, optional := range [...]secret.Ref{s.Previous, s.SessionToken} {
		if optional != "" {
			refs = append(refs, optional)
		}
	}
	return refs
}

// fields are those that the scheme writes, each with the setting that says so.
func (s *Sign) fields() [][2]string {
	switch s.Scheme {
	case schemeWebhooks:
		return [][2]string{{"sign", signature.WebhookID}, {"sign", signature.WebhookTimestamp}, {"sign", signature.WebhookSignature}}
	case schemeMessage:
		return [][2]string{{"sign", signature.SignatureInput}, {"sign", signature.SignatureField}, {"sign", signature.ContentDigest}}
	case schemeAWS:
		return [][2]string{{"sign", "Authorization"}, {"sign", signature.AWSDate}, {"sign", signature.AWSContentSHA256}, {"sign", signature.AWSToken}}
	}
	return s.plainFields()
}

// CoversHost reports whether the scheme signs the host a call is sent to, in the form it has on the wire.
func (s *Sign) CoversHost() bool {
	return s != nil && (s.Scheme == schemeMessage || s.Scheme == schemeAWS)
}

// signer is one scheme, compiled. keys are the values of the secrets.
type signer interface {
	sign(x *Exchange, r signature.Request, keys []secret.Value) error
}

func (s *Sign) compile() (signer, error) {
	switch s.Scheme {
	case schemeWebhooks:
		return newWebhookSigner(s), nil
	case schemeMessage:
		return newMessageSigner(s)
	case schemeAWS:
		return newAWSSigner(s), nil
	}
	return newPlainSigner(s)
}

// sign puts a fresh signature on the attempt's private copy of the request. It is the last stage that changes it.
func sign(s *Sign, h *Host, secrets *secret.Resolver) (Stage, error) {
	if s == nil {
		return nil, nil
	}
	scheme, err := s.compile()
	if err != nil {
		return nil, err
	}
	keys := &keyring{host: h, secrets: secrets, refs: s.secrets()}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			values, err := keys.fetch(x)
			if err != nil {
				return nil, err
			}
			if err := scheme.sign(x, h.sending(x), values); err != nil {
				return nil, keys.unusable(err)
			}
			return next(x)
		}
	}, nil
}

// sending is the attempt under way as it will be sent.
func (h *Host) sending(x *Exchange) signature.Request {
	return signature.Request{Request: &x.attempt, Scheme: h.engine.scheme, Authority: h.engine.host}
}

// nextSecond is the time of a signature in Unix seconds, never the same twice in one call: providers refuse a repeated
// signature.
func (x *Exchange) nextSecond() int64 {
	x.signedAt = max(time.Now().Unix(), x.lastSigned()+1)
	return x.signedAt
}

// lastSigned is no earlier than the last signature of this call, in Unix seconds. Of a letter's attempts only their
// times are known; each may have been signed one second ahead of the one before.
func (x *Exchange) lastSigned() int64 {
	if x.signedAt == 0 && x.Replay != nil {
		return x.Replay.Letter.Metadata.LastAttempt.Unix() + int64(len(x.Replay.Letter.Attempts))
	}
	return x.signedAt
}

// prepared keeps what was made of a secret until the secret changes: keying a MAC, reading a PEM and deriving AWS' key
// of the day cost more than a signature.
type prepared[K any] struct {
	ref   secret.Ref // for the log
	parse func(text []byte) (K, error)
	last  atomic.Pointer[parsed[K]]
}

type parsed[K any] struct {
	text []byte
	key  K
}

func (p *prepared[K]) key(v secret.Value) (K, error) {
	text := v.Reveal()
	if last := p.last.Load(); last != nil && bytes.Equal(last.text, text) {
		return last.key, nil
	}
	key, err := p.parse(text)
	if err != nil {
		return key, fmt.Errorf("%s cannot be used: %w", p.ref, err)
	}
	p.last.Store(&parsed[K]{bytes.Clone(text), key})
	return key, nil
}
