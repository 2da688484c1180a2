package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

const keyBytes = 32

// parseKeys reads the keys of a secret; see New. Its errors do not repeat any of it.
func parseKeys(secret []byte) (keys [][keyBytes]byte, err error) {
	if len(secret) == keyBytes {
		return [][keyBytes]byte{[keyBytes]byte(secret)}, nil
	}
	for line := range bytes.Lines(secret) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		key, ok := parseKey(line)
		if !ok {
			return nil, errors.New("each line must be 32 bytes, 64 hex digits, or the base64 of 32 bytes")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is none")
	}
	return keys, nil
}

// parseKey tells the three forms by their length.
func parseKey(line []byte) (key [keyBytes]byte, ok bool) {
	b, err := line, error(nil)
	switch text := string(line); len(line) {
	case keyBytes:
	case hex.EncodedLen(keyBytes):
		b, err = hex.DecodeString(text)
	case base64.StdEncoding.EncodedLen(keyBytes):
		if b, err = base64.StdEncoding.DecodeString(text); err != nil {
			b, err = base64.URLEncoding.DecodeString(text)
		}
	case base64.RawStdEncoding.EncodedLen(keyBytes):
		if b, err = base64.RawStdEncoding.DecodeString(text); err != nil {
			b, err = base64.RawURLEncoding.DecodeString(text)
		}
	}
	if err != nil || len(b) != keyBytes {
		return key, false
	}
	return [keyBytes]byte(b), true
}
