// Package seal encrypts what applications sent, with AES-256-GCM, before it lies on a disk, and opens it again. See
// docs/decisions/0011-sealed-letters.md.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// ErrUnknownKey says that a part was sealed with a key that is not configured.
var ErrUnknownKey = errors.New("sealed with a key that is not configured")

// Sealer seals and opens parts of letters and of accepted exchanges.
//
// A sealed part is the first 4 bytes of the key's SHA-256, a random nonce of 12 bytes, the ciphertext, and a tag of 16.
// The id of what it belongs to and the name of the part are authenticated with it: a part moved elsewhere does not open.
// Random nonces are good for 2^32 parts with one key.
type Sealer struct {
	secret func() ([]byte, error)

	mu   sync.Mutex
	read [sha256.Size]byte // of the secret when the keys were taken from it
	keys []sealKey         // the first seals, all open
	err  error             // of the last reading
}

type sealKey struct {
	id   keyID
	aead cipher.AEAD
}

// A keyID names a key without telling it.
type keyID [4]byte

// Overhead is what sealing adds to a part, in bytes.
const Overhead = len(keyID{}) + 12 + 16

// New makes a Sealer whose keys secret returns; it is asked before each use, so it must be quick, as a resolver
// that caches is. A key is written as 32 raw bytes, 64 hex digits, or the base64 of 32 bytes; several stand on a line
// each (raw keys cannot), of which the first seals and all open. To rotate, put the new key on a first line, and leave
// the old one as long as there is something that was sealed with it.
//
// A secret that cannot be read now, or holds no key, is an error. Later it is not: the keys of before stay in use, as
// nothing may be lost for that, and Err tells.
func New(secret func() ([]byte, error)) (*Sealer, error) {
	s := &Sealer{secret: secret}
	s.current()
	if s.err != nil {
		return nil, s.err
	}
	return s, nil
}

// Err says why the secret could not be read when it was last used; nil when it could. It never repeats the secret.
func (s *Sealer) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// current returns the keys, read anew when the secret has changed.
func (s *Sealer) current() []sealKey {
	secret, err := s.secret()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err != nil {
		s.err = fmt.Errorf("read the key that seals: %w", err)
		return s.keys
	}
	sum := sha256.Sum256(secret)
	if s.keys != nil && sum == s.read {
		return s.keys
	}
	keys, err := parseKeys(secret)
	if err != nil {
		s.err = fmt.Errorf("the key that seals: %w", err)
		return s.keys
	}
	s.read, s.keys = sum, nil
	for _, key := range keys {
		s.keys = append(s.keys, newSealKey(key))
	}
	return s.keys
}

func newSealKey(key [32]byte) sealKey {
	sum := sha256.Sum256(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for another cipher than AES
	}
	return sealKey{keyID(sum[:4]), aead}
}

// Seal returns content, sealed for the part of this name of what has this id.
func (s *Sealer) Seal(id, part string, content []byte) []byte {
	key := s.current()[0]
	out := append(make([]byte, 0, len(content)+Overhead), key.id[:]...)
	return key.aead.Seal(out, nil, content, additional(id, part))
}

// Open returns what was sealed: ErrUnknownKey when it does not know the key, as a nil Sealer never does; any other error
// means that the part is not what was sealed.
func (s *Sealer) Open(id, part string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, errors.New("too short")
	}
	if s == nil {
		return nil, ErrUnknownKey
	}
	err := ErrUnknownKey
	for _, key := range s.current() {
		if key.id != keyID(sealed[:4]) {
			continue
		}
		var content []byte
		if content, err = key.aead.Open(nil, nil, sealed[4:], additional(id, part)); err == nil {
			return content, nil
		}
	}
	return nil, err
}

func additional(id, part string) []byte { return []byte(id + "\x00" + part) }

// KeyName is how the key of a sealed part is called in front of people.
func KeyName(sealed []byte) string { return hex.EncodeToString(sealed[:min(4, len(sealed))]) }
