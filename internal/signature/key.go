package signature

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
)

// The faults of keys.
const (
	notBase64     Fault = "the key is not base64"
	notHex        Fault = "the key is not hex"
	emptyKey      Fault = "the key is empty"
	notEd25519    Fault = "the key is not an Ed25519 key: PEM (PKCS#8), or base64 of 32 or 64 bytes"
	notEd25519Pub Fault = "the key is not an Ed25519 public key: PEM (PKIX), or base64 of 32 bytes"
	onlyVerifies  Fault = "the key is a public one; it verifies and cannot sign"
)

// The algorithms of keys, by their names in RFC 9421 section 6.2.2.
const (
	HMACSHA256 = "hmac-sha256"
	Ed25519    = "ed25519"
)

// Decode turns the text of a shared secret into its bytes: encoding is raw, base64 or hex.
func Decode(encoding string, text []byte) ([]byte, error) {
	switch encoding {
	case "base64":
		return decodeBase64(text)
	case "hex":
		key := make([]byte, hex.DecodedLen(len(text)))
		if _, err := hex.Decode(key, text); err != nil {
			return nil, notHex
		}
		return nonEmpty(key)
	}
	return nonEmpty(text)
}

func nonEmpty(key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, emptyKey
	}
	return key, nil
}

// decodeBase64 takes both alphabets, with and without padding: providers hand out all of them.
func decodeBase64(text []byte) ([]byte, error) {
	plain := bytes.TrimRight(bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, text), "=")
	key := make([]byte, base64.RawStdEncoding.DecodedLen(len(plain)))
	n, err := base64.RawStdEncoding.Decode(key, plain)
	if err != nil {
		return nil, notBase64
	}
	return nonEmpty(key[:n])
}

// Key is what signs or verifies HTTP Message Signatures and Standard Webhooks: a shared secret or an Ed25519 key.
type Key struct {
	mac     *MAC
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// NewSharedKey is a key for HMAC-SHA256.
func NewSharedKey(secret []byte) *Key { return &Key{mac: NewMAC(secret)} }

// ParsePrivateKey reads an Ed25519 private key: PEM (PKCS#8), or base64 of its seed, with or without the public key.
func ParsePrivateKey(text []byte) (*Key, error) {
	if block, _ := pem.Decode(text); block != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		private, ok := parsed.(ed25519.PrivateKey)
		if err != nil || !ok {
			return nil, notEd25519
		}
		return newPrivateKey(private), nil
	}
	raw, err := decodeBase64(bytes.TrimSpace(text))
	if err != nil {
		return nil, notEd25519
	}
	return rawPrivateKey(raw)
}

func rawPrivateKey(raw []byte) (*Key, error) {
	if len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
		return nil, notEd25519
	}
	private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	if len(raw) == ed25519.PrivateKeySize && !bytes.Equal(private, raw) { // a public key that is not its own gives the seed away
		return nil, notEd25519
	}
	return newPrivateKey(private), nil
}

func newPrivateKey(private ed25519.PrivateKey) *Key {
	return &Key{private: private, public: private.Public().(ed25519.PublicKey)}
}

// ParsePublicKey reads an Ed25519 public key: PEM (PKIX), or base64 of its 32 bytes.
func ParsePublicKey(text []byte) (*Key, error) {
	if block, _ := pem.Decode(text); block != nil {
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		public, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, notEd25519Pub
		}
		return &Key{public: public}, nil
	}
	raw, err := decodeBase64(bytes.TrimSpace(text))
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, notEd25519Pub
	}
	return &Key{public: raw}, nil
}

// Algorithm is the name of what the key is for.
func (k *Key) Algorithm() string {
	if k.mac != nil {
		return HMACSHA256
	}
	return Ed25519
}

// sign returns the signature of content.
func (k *Key) sign(content string) ([]byte, error) {
	switch {
	case k.mac != nil:
		return k.mac.of(content), nil
	case k.private != nil:
		return ed25519.Sign(k.private, []byte(content)), nil
	}
	return nil, onlyVerifies
}

// verifies reports whether sig is the key's signature of content, in constant time.
func (k *Key) verifies(content string, sig []byte) bool {
	if k.mac != nil {
		return Equal(k.mac.of(content), sig)
	}
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.public, []byte(content), sig)
}
