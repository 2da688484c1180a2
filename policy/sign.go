package policy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/wire"
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
		if fault := fieldFault(name); fault != "" {
			r.Fault(path, fault)
		}
	}
	if strings.ContainsAny(s.Prefix, "\r\n\x00") {
		r.Fault("sign.prefix", "holds a control character")
	}
}

// sign puts a fresh signature on the attempt's private copy of the request.
func sign(s *Sign, h *Host, secrets *secret.Resolver) (Stage, error) {
	if s == nil {
		return nil, nil
	}
	content, err := parseTemplate(s.Content)
	if err != nil {
		return nil, err
	}
	signer := &signer{Sign: *s, content: content, stamped: content.uses(placeTimestamp), identified: content.uses(placeID)}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			key, err := h.fetch(x, secrets, s.Secret)
			if err != nil {
				return nil, err
			}
			signer.sign(x, key)
			return next(x)
		}
	}, nil
}

// signer is the plain scheme, compiled.
type signer struct {
	Sign
	content    template
	stamped    bool // the content uses {timestamp}
	identified bool // the content uses {id}
	state      atomic.Pointer[keyed]
}

// keyed are HMAC states of one key, reused: keying one costs two compressions and most of the allocations.
type keyed struct {
	key  []byte
	pool sync.Pool
}

func (s *signer) sign(x *Exchange, key secret.Value) {
	x.signedAt = max(time.Now().Unix(), x.lastSigned()+1) // never the same twice: providers refuse a repeated signature
	timestamp := strconv.FormatInt(x.signedAt, 10)
	id := ""
	if s.identified {
		id = dlq.NewID()
		x.attempt.Fields.Set(s.IDHeader, id)
	}
	k := s.keyedBy(key.Reveal())
	mac := k.pool.Get().(hash.Hash)
	defer k.pool.Put(mac)
	mac.Reset()
	for _, part := range s.content {
		part.write(mac, x, timestamp, id)
	}
	var sum [sha256.Size]byte
	x.attempt.Fields.Set(s.Header, s.Prefix+s.encode(mac.Sum(sum[:0])))
	if s.stamped {
		x.attempt.Fields.Set(s.TimestampHeader, timestamp)
	}
}

// lastSigned is no earlier than the last signature of this call, in Unix seconds. Of a letter's attempts only their
// times are known; each may have been signed one second ahead of the one before.
func (x *Exchange) lastSigned() int64 {
	if x.signedAt == 0 && x.Replay != nil {
		return x.Replay.Letter.Metadata.LastAttempt.Unix() + int64(len(x.Replay.Letter.Attempts))
	}
	return x.signedAt
}

func (s *signer) keyedBy(key []byte) *keyed {
	if k := s.state.Load(); k != nil && bytes.Equal(k.key, key) {
		return k
	}
	k := &keyed{key: bytes.Clone(key)}
	k.pool.New = func() any { return hmac.New(sha256.New, k.key) }
	s.state.Store(k)
	return k
}

func (s *signer) encode(sum []byte) string {
	if s.Encoding == "base64" {
		return base64.StdEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}

// write adds one part of the template to the MAC.
func (p templatePart) write(w io.Writer, x *Exchange, timestamp, id string) {
	text := p.literal
	switch p.place {
	case placeBody:
		_, _ = w.Write(x.attempt.Body.Bytes)
		return
	case placeTimestamp:
		text = timestamp
	case placeMethod:
		text = x.attempt.Method
	case placePath:
		text = x.attempt.Path()
	case placeQuery:
		text = x.attempt.Query()
	case placeKey:
		text = x.Key.Value
	case placeID:
		text = id
	case placeHeader:
		text = x.attempt.Fields.Get(p.field)
	}
	_, _ = io.WriteString(w, text)
}
