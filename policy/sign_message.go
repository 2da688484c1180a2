package policy

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
)

func (s *Sign) checkMessage(r Report) {
	checkComponents(r, "sign.components", s.Components, false)
	if len(s.Components) == 0 {
		r.Fault("sign.components", "is empty; nothing would be signed")
	} else if !coversDigest(s.Components) {
		r.Warn("sign.components", "leaves out content-digest, so the body is not signed")
	}
	if s.Algorithm == signature.Ed25519 && s.SecretEncoding != "raw" && s.SecretEncoding != "" {
		r.Fault("sign.secret_encoding", "is for shared secrets; an Ed25519 key is PEM or base64 by itself")
	}
}

func coversDigest(components []string) bool {
	return slices.ContainsFunc(components, func(name string) bool { return strings.EqualFold(name, signature.ContentDigest) })
}

// checkComponents reports names that no signature can cover, and those that stand there twice.
func checkComponents(r Report, path string, names []string, response bool) {
	var seen []signature.Component
	for _, name := range names {
		c, fault := signature.ParseComponent(name, response)
		switch {
		case fault != "":
			r.Fault(path, name+" "+fault)
		case slices.Contains(seen, c):
			r.Fault(path, name+" stands there twice")
		}
		seen = append(seen, c)
	}
}

func parseComponents(names []string, response bool) (list []signature.Component) {
	for _, name := range names {
		c, _ := signature.ParseComponent(name, response) // checked when the file was read
		list = append(list, c)
	}
	return list
}

// messageSigner is RFC 9421, with the digest of RFC 9530.
type messageSigner struct {
	*signature.MessageSigner
	digests bool // content-digest is covered
	nonce   bool
	expires time.Duration
	key     prepared[*signature.Key]
}

func newMessageSigner(s *Sign) (*messageSigner, error) {
	inner, err := signature.NewMessageSigner(s.Label, parseComponents(s.Components, false), s.KeyID, s.Algorithm, s.Tag)
	if err != nil {
		return nil, err
	}
	m := &messageSigner{MessageSigner: inner, digests: coversDigest(s.Components), nonce: s.Nonce, expires: s.Expires.D()}
	m.key.ref, m.key.parse = s.Secret, parseMessageKey(s.Algorithm, s.SecretEncoding, signature.ParsePrivateKey)
	return m, nil
}

// parseMessageKey reads a shared secret, or one half of an Ed25519 key.
func parseMessageKey(algorithm, encoding string, ed25519 func([]byte) (*signature.Key, error)) func([]byte) (*signature.Key, error) {
	if algorithm == signature.Ed25519 {
		return ed25519
	}
	return func(text []byte) (*signature.Key, error) {
		shared, err := signature.Decode(encoding, text)
		if err != nil {
			return nil, err
		}
		return signature.NewSharedKey(shared), nil
	}
}

func (m *messageSigner) sign(x *Exchange, r signature.Request, values []secret.Value) error {
	key, err := m.key.key(values[0])
	if err != nil {
		return err
	}
	if err := m.digest(r); err != nil {
		return err
	}
	var t signature.Times
	if m.nonce {
		t.Created, t.Nonce = time.Now().Unix(), freshNonce() // never ahead of the clock: some verifiers allow no skew
	} else {
		t.Created = x.nextSecond()
	}
	if m.expires > 0 {
		t.Expires = t.Created + int64(m.expires/time.Second)
	}
	input, value, err := m.Sign(r, key, t)
	if err != nil {
		return err
	}
	r.Fields.Set(signature.SignatureInput, input)
	r.Fields.Set(signature.SignatureField, value)
	return nil
}

// digest makes sure that the digest that is signed is the body's. One that the application sent stays if it is right;
// if it is wrong, the body is not what the application meant to send, and signing it would hide that.
func (m *messageSigner) digest(r signature.Request) error {
	if !m.digests || len(r.Body.Bytes) == 0 {
		return nil
	}
	switch signature.CheckDigest(r.Fields, r.Body.Bytes) {
	case nil:
	case signature.NoDigest:
		r.Fields.Set(signature.ContentDigest, signature.Digest(r.Body.Bytes))
	default:
		return problem.New(problem.InvalidRequest, "The Content-Digest of the request does not match its body.")
	}
	return nil
}

// freshNonce is 128 random bits.
func freshNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
