package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func keyOf(b byte) []byte { return bytes.Repeat([]byte{b}, keyBytes) }

func hexKey(b byte) string { return hex.EncodeToString(keyOf(b)) }

func sealer(t testing.TB, lines ...string) *Sealer {
	t.Helper()
	s, err := New(func() ([]byte, error) { return []byte(strings.Join(lines, "\n") + "\n"), nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAPartSealedForAnotherLetterDoesNotOpen(t *testing.T) {
	s := sealer(t, hexKey(1))
	sealed := s.Seal("a", "body", []byte("text"))
	for _, c := range []struct{ id, part string }{{"b", "body"}, {"a", "message"}} {
		if _, err := s.Open(c.id, c.part, sealed); err == nil || errors.Is(err, ErrUnknownKey) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestKeysAreReadInThreeForms(t *testing.T) {
	raw := keyOf(0xfb)
	for name, text := range map[string]string{
		"raw": string(raw), "hex": hex.EncodeToString(raw), "hex, line": strings.ToUpper(hex.EncodeToString(raw)) + "\r\n",
		"base64": base64.StdEncoding.EncodeToString(raw), "base64url": base64.URLEncoding.EncodeToString(raw),
		"without padding": base64.RawURLEncoding.EncodeToString(raw) + "\n\n",
	} {
		if keys, err := parseKeys([]byte(text)); err != nil || len(keys) != 1 || !bytes.Equal(keys[0][:], raw) {
			t.Errorf("%s: %x, %v", name, keys, err)
		}
	}
	for _, text := range []string{"", "\n", "short", hexKey(1)[1:], hexKey(1) + "\nshort", strings.Repeat("z", 64)} {
		if keys, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%q: %x", text, keys)
		}
	}
}
