package signature

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestKeysThatCannotBeReadAreNotRepeated(t *testing.T) {
	const canary = "canary-key-77c0"
	_, private, _, _ := keys(t)
	wrongHalf := base64.StdEncoding.EncodeToString(append(append([]byte(nil), private.private[:32]...), make([]byte, 32)...))
	attempts := map[string]func([]byte) (any, error){
		"webhook": func(b []byte) (any, error) { return ParseWebhookKey(b) }, "private": func(b []byte) (any, error) { return ParsePrivateKey(b) },
		"public": func(b []byte) (any, error) { return ParsePublicKey(b) }, "base64": func(b []byte) (any, error) { return Decode("base64", b) },
		"hex": func(b []byte) (any, error) { return Decode("hex", b) }, "raw": func(b []byte) (any, error) { return Decode("raw", b) },
	}
	for _, c := range []struct{ how, text string }{
		{"webhook", "whsec_" + canary + "!"}, {"webhook", canary + "-18"}, {"webhook", "whsec_"}, {"webhook", ""}, {"webhook", "whsk_" + canary}, {"webhook", "whpk_" + canary}, {"webhook", "whsk_" + wrongHalf},
		{"private", canary}, {"private", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, {"private", published(t).Ed25519.Public}, {"private", wrongHalf},
		{"public", canary}, {"public", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}, {"public", published(t).Ed25519.Private},
		{"base64", canary + "!"}, {"hex", canary}, {"hex", ""}, {"raw", ""},
	} {
		_, err := attempts[c.how]([]byte(c.text))
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
			t.Errorf("%s %q: %v", c.how, c.text, err)
		}
	}
	for _, c := range []struct{ how, text string }{{"webhook", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"}, {"base64", "-_-_"}, {"base64", "+/8"}, {"hex", "00FFab"},
		{"private", base64.StdEncoding.EncodeToString(private.private)}, {"private", base64.StdEncoding.EncodeToString(private.private.Seed())},
		{"webhook", "whsk_" + base64.StdEncoding.EncodeToString(private.private)}, {"public", base64.StdEncoding.EncodeToString(private.public)}} {
		if _, err := attempts[c.how]([]byte(c.text)); err != nil {
			t.Errorf("%s %q: %v", c.how, c.text, err)
		}
	}
}
