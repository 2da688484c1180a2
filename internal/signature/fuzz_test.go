package signature

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// quiet fails the test when what was said holds the canary that every key here is.
func quiet(t *testing.T, said ...any) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", said, said, said); strings.Contains(text, "canary") {
		t.Errorf("a key is told: %s", text)
	}
}

func FuzzMessageVerify(f *testing.F) {
	const params = `("@status" "content-digest" "@method";req "x-two";req);created=1700000000;keyid="k";alg="hmac-sha256";expires=1700000060`
	f.Add("sig1="+params, "sig1=:AAAA:", "application/json", []byte("body"))
	f.Add("a=("+`"@status";req`+");created=1, b=2", "a=:AA==:, b=?1", "x", []byte(nil))
	f.Add(`s=("x" "y";bs "content-type");created=1.5;nonce=:aa:`, "s", "", []byte("x"))
	key := NewSharedKey([]byte("canary-key"))
	f.Fuzz(func(t *testing.T, input, sig, contentType string, body []byte) {
		r := Request{Scheme: "https", Authority: "api.test", Request: &wire.Request{Method: "POST", Target: "/a"}}
		resp := &wire.Response{Status: 200, Content: body, Fields: wire.Fields{{Name: "Content-Type", Value: contentType},
			{Name: SignatureInput, Value: input}, {Name: SignatureField, Value: sig}, {Name: ContentDigest, Value: contentType}}}
		err := (&MessageVerifier{Tolerance: time.Minute}).Verify(resp, r, []*Key{key}, at)
		if err == nil {
			t.Error("a signature that nobody made is believed")
		}
		quiet(t, err)
	})
}

func FuzzWebhookVerify(f *testing.F) {
	f.Add("msg_1", "1700000000", "v1,AAAA v1a,AAAA", []byte("{}"))
	f.Add("", "-1", "v1", []byte(nil))
	key := NewSharedKey([]byte("canary-key"))
	f.Fuzz(func(t *testing.T, id, stamp, sigs string, body []byte) {
		err := VerifyWebhook([]*Key{key}, id, stamp, sigs, body, at, time.Minute)
		if err == nil {
			t.Error("a signature that nobody made is believed")
		}
		quiet(t, err)
	})
}

// FuzzKeys looks for the text of a key in what is said about it.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"whsec_canary", "whsk_canary", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", "canary=="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = append(text, "canary"...)
		_, webhook := ParseWebhookKey(text)
		_, private := ParsePrivateKey(text)
		_, public := ParsePublicKey(text)
		_, base := Decode("base64", text)
		_, hex := Decode("hex", text)
		quiet(t, webhook, private, public, base, hex)
	})
}

// FuzzSign signs whatever an application may send and expects to be believed, and not to tell the key.
func FuzzSign(f *testing.F) {
	f.Add("POST", "/a?b=c&d", "X-A", "value", []byte("body"))
	f.Add("GET", "//../%zz?;&=+%", "content-type", " \t", []byte(nil))
	f.Add("DELETE", "/a b\u00e9?x=\"", "Host", "évil", []byte{0xff})
	key, aws := NewSharedKey([]byte("canary-key")), NewAWSKey([]byte("canary-aws"), "eu-central-1", "execute-api")
	covers := components(f, false, "@method", "@target-uri", "@path", "@query", "@authority", "content-digest", "content-type", "content-length", "user-agent", "x-a", "host")
	signer, err := NewMessageSigner("sig1", covers, `a "key"\id`, HMACSHA256, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, name, value string, body []byte) {
		r := Request{Scheme: "https", Authority: "api.test", Request: &wire.Request{Method: method, Target: target, Body: wire.Body{Bytes: body},
			Fields: wire.Fields{{Name: name, Value: value}, {Name: name, Value: value}}}}
		r.Fields.Set(ContentDigest, Digest(body))
		r.Fields.Del(SignatureInput)
		r.Fields.Del(SignatureField)
		input, sig, err := signer.Sign(r, key, Times{Created: at.Unix()})
		if err != nil {
			t.Fatal(err)
		}
		r.Fields.Add(SignatureInput, input)
		r.Fields.Add(SignatureField, sig)
		if err := (&MessageVerifier{Tolerance: time.Minute}).VerifyRequest(r, []*Key{key}, at); err != nil {
			t.Errorf("not believed: %v", err)
		}
		webhook, err := SignWebhook([]*Key{key}, "msg_1", "1700000000", body)
		if err != nil || VerifyWebhook([]*Key{key}, "msg_1", "1700000000", webhook, body, at, 0) != nil {
			t.Errorf("webhook: %q, %v", webhook, err)
		}
		authorization := aws.Sign(r, "AKID", PayloadHash(body), at)
		if !strings.Contains(target+name+value+string(body), "canary") {
			quiet(t, input, sig, webhook, authorization)
		}
	})
}
