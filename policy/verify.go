package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// VerifyResponse believes responses only with the provider's signature. Its tag schemes is that of Sign.
type VerifyResponse struct {
	Scheme         string         `yaml:"scheme" enum:"hmac-sha256,standard-webhooks,http-message-signatures" doc:"Signature scheme of responses; empty: that of sign."`
	Secret         secret.Ref     `yaml:"secret" required:"true" doc:"Key: a shared secret (whsec_ or whpk_ with standard-webhooks), or an Ed25519 public key (PEM or base64)."`
	SecretEncoding string         `yaml:"secret_encoding" default:"raw" enum:"raw,base64,hex" schemes:"hmac-sha256,http-message-signatures" doc:"How a shared secret is written where it is kept."`
	Previous       secret.Ref     `yaml:"previous" doc:"Another key that is believed, while the provider changes keys."`
	Statuses       []string       `yaml:"statuses" default:"2xx" pattern:"^([1-5]xx|[1-5][0-9][0-9])$" doc:"Responses that must be signed, by status or class of statuses. Others are verified when they carry a signature."`
	Tolerance      units.Duration `yaml:"tolerance" default:"5m" min:"0s" max:"24h" doc:"How far the time of a signature may be from now, both ways."`

	Header          string `yaml:"header" default:"X-Signature" schemes:"hmac-sha256" doc:"Field that carries the signature."`
	Encoding        string `yaml:"encoding" default:"hex" enum:"hex,base64" schemes:"hmac-sha256" doc:"Encoding of the MAC."`
	Prefix          string `yaml:"prefix" schemes:"hmac-sha256" doc:"Text before the encoded MAC, such as sha256=."`
	TimestampHeader string `yaml:"timestamp_header" default:"X-Timestamp" schemes:"hmac-sha256" doc:"Field that carries the time in Unix seconds, when the content uses {timestamp}."`
	IDHeader        string `yaml:"id_header" default:"X-Request-ID" schemes:"hmac-sha256" doc:"Field that carries the id, when the content uses {id}."`
	Content         string `yaml:"content" default:"{body}" schemes:"hmac-sha256" doc:"What is signed: text with {body}, {timestamp}, {status}, {id} and {header:Name} of the response, {method}, {path}, {query} and {key} of the call."`

	Algorithm  string   `yaml:"algorithm" default:"hmac-sha256" enum:"hmac-sha256,ed25519" schemes:"http-message-signatures" doc:"Algorithm of RFC 9421."`
	KeyID      string   `yaml:"key_id" schemes:"http-message-signatures" pattern:"^[ -~]+$" doc:"keyid that the signature must have; empty: any."`
	Label      string   `yaml:"label" schemes:"http-message-signatures" pattern:"^[a-z*][a-z0-9_.*-]*$" doc:"Label of the signature; empty: any."`
	Components []string `yaml:"components" default:"@status,content-digest" schemes:"http-message-signatures" doc:"What a signature must cover at least: @status, names of fields, and with ;req what belongs to the call. content-digest only when there is a body."`
}

func (v *VerifyResponse) check(s *Sign, r Report) {
	scheme := v.scheme(s)
	if scheme == schemeAWS {
		r.Fault("sign.verify_response.scheme", "is required with "+schemeAWS+", which signs no responses")
		return
	}
	misplaced(r, "sign.verify_response", scheme, v)
	switch scheme {
	case schemePlain:
		v.checkPlain(r)
	case schemeMessage:
		checkComponents(r, "sign.verify_response.components", v.Components, true)
		if len(v.Components) == 0 {
			r.Fault("sign.verify_response.components", "is empty; a signature of nothing would be believed")
		}
		if v.Algorithm == signature.Ed25519 && v.SecretEncoding != "raw" && v.SecretEncoding != "" {
			r.Fault("sign.verify_response.secret_encoding", "is for shared secrets; an Ed25519 key is PEM or base64 by itself")
		}
	}
}

func (v *VerifyResponse) checkPlain(r Report) {
	content, err := parseResponseTemplate(v.Content)
	if err != nil {
		r.Fault("sign.verify_response.content", err.Error())
	} else if !content.uses(placeBody) {
		r.Warn("sign.verify_response.content", "leaves out {body}, so any body is believed")
	}
	for path, name := range map[string]string{"header": v.Header, "timestamp_header": v.TimestampHeader, "id_header": v.IDHeader} {
		if !validFieldName(name) {
			r.Fault("sign.verify_response."+path, "is not a field name")
		}
	}
}

func (v *VerifyResponse) scheme(s *Sign) string {
	if v.Scheme != "" {
		return v.Scheme
	}
	return s.Scheme
}

func (v *VerifyResponse) secrets() []secret.Ref {
	if v.Previous == "" {
		return []secret.Ref{v.Secret}
	}
	return []secret.Ref{v.Secret, v.Previous}
}

// responseRule says which responses are verified. They are read whole.
type responseRule struct {
	statuses []string
	field    string // its presence says that a response is signed
}

func responseRuleOf(s *Settings) *responseRule {
	if s.Sign == nil || s.Sign.VerifyResponse == nil {
		return nil
	}
	v := s.Sign.VerifyResponse
	rule := &responseRule{statuses: v.Statuses, field: v.Header}
	switch v.scheme(s.Sign) {
	case schemeWebhooks:
		rule.field = signature.WebhookSignature
	case schemeMessage:
		rule.field = signature.SignatureField
	}
	return rule
}

// concerns reports whether a response is verified: because it must be signed, or because it is.
func (r *responseRule) concerns(resp *wire.Response) bool {
	return r != nil && (resp.Fields.Has(r.field) || slices.ContainsFunc(r.statuses, func(s string) bool { return matchesStatus(s, resp.Status) }))
}

// verifier is one scheme, compiled. Its errors are faults of the response, but for those of keys.
type verifier interface {
	// prepare makes keys of the secrets, before anything is sent.
	prepare(values []secret.Value) (judge, error)
}

// judge says why a response that was read whole is not believed.
type judge func(x *Exchange, r signature.Request, resp *wire.Response, now time.Time) error

// verified lets a response pass only with the provider's signature, where one is asked for. It stands next to the
// engine, so that every policy judges what was believed. What comes without is a malformed response: a read is tried
// again, and a write whose provider does not honour keys has an unknown outcome, because somebody did answer it.
func verified(s *Settings, h *Host, secrets *secret.Resolver) (Stage, error) {
	rule := responseRuleOf(s)
	if rule == nil {
		return nil, nil
	}
	scheme, err := s.Sign.VerifyResponse.compile(s.Sign)
	if err != nil {
		return nil, err
	}
	keys := &keyring{host: h, secrets: secrets, refs: s.Sign.VerifyResponse.secrets()}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			values, err := keys.fetch(x)
			if err != nil {
				return nil, err
			}
			judge, err := scheme.prepare(values)
			if err != nil {
				return nil, keys.unusable(err)
			}
			resp, err := next(x)
			if err != nil || !rule.concerns(resp) {
				return resp, err
			}
			if err := judged(judge, x, h.sending(x), resp); err != nil {
				resp.Close()
				return nil, h.disbelieve(x, err)
			}
			return resp, nil
		}
	}, nil
}

// tooLongToVerify is the fault of a response that was not read whole.
const tooLongToVerify signature.Fault = "it is larger than max_body, so its signature cannot be checked"

func judged(judge judge, x *Exchange, r signature.Request, resp *wire.Response) error {
	if resp.Stream != nil {
		return tooLongToVerify
	}
	return judge(x, r, resp, time.Now())
}

// disbelieve turns an answered attempt into one with a malformed response. The attempt keeps its status, for whoever
// has to find out what happened.
func (h *Host) disbelieve(x *Exchange, fault error) error {
	p := bad("http_protocol_error", "The external system's response is not believed: "+strings.TrimSuffix(fault.Error(), ".")+".")
	if n := len(x.Attempts); n > 0 {
		x.Attempts[n-1].Error = attemptError(p)
	}
	h.live.failed(string(p.Kind) + ": " + fault.Error())
	return p
}
