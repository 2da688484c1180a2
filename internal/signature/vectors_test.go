package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// vectors are published examples; testdata/vectors.json names the source of each.
type vectors struct {
	GitHub   struct{ Secret, Payload, Hex string } `json:"github_x_hub_signature_256"`
	Webhooks struct {
		Secret    string
		ID        string `json:"webhook-id"`
		Timestamp string `json:"webhook-timestamp"`
		Payload   string
		Signature string `json:"webhook-signature"`
	} `json:"standard_webhooks"`
	RFC4231 []struct {
		N         int
		Key       string `json:"key_hex"`
		KeyRepeat []any  `json:"key_repeat"`
		Data      string `json:"data_hex"`
		Repeat    []any  `json:"data_repeat"`
		Text      string `json:"data_ascii"`
		Hex       string
	} `json:"rfc4231"`
	RFC9530 []struct {
		Body   string
		Digest string `json:"content-digest"`
		SHA256 string `json:"content-digest-sha256"`
	} `json:"rfc9530"`
	HMAC struct {
		Key  string `json:"key_b64"`
		Base string `json:"signature_base"`
		Sig  string `json:"signature_b64"`
	} `json:"rfc9421_b25_hmac_sha256"`
	Ed25519 struct {
		Private string `json:"private_pem"`
		Public  string `json:"public_pem"`
		Base    string `json:"signature_base"`
		Sig     string `json:"signature_b64"`
	} `json:"rfc9421_b26_ed25519"`
	AWS struct {
		Cases []struct {
			Name, Method, Target, Host, Body, Region, Service, Key, ID, At, Signature string
			Fields                                                                    [][2]string
			Hashed                                                                    bool
		}
	} `json:"aws_sigv4"`
}

func published(t testing.TB) *vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMACsMatchPublishedVectors(t *testing.T) {
	v := published(t)
	if len(v.RFC4231) != 5 {
		t.Fatalf("%d vectors of RFC 4231", len(v.RFC4231))
	}
	repeat := func(of []any) []byte { return bytes.Repeat(unhex(t, of[0].(string)), int(of[1].(float64))) }
	for _, c := range v.RFC4231 {
		key, data := unhex(t, c.Key), append(unhex(t, c.Data), c.Text...)
		if c.KeyRepeat != nil {
			key = repeat(c.KeyRepeat)
		}
		if c.Repeat != nil {
			data = repeat(c.Repeat)
		}
		if got := hex.EncodeToString(NewMAC(key).of(string(data))); got != c.Hex {
			t.Errorf("RFC 4231 case %d: %s", c.N, got)
		}
	}
	if got := hex.EncodeToString(NewMAC([]byte(v.GitHub.Secret)).of(v.GitHub.Payload)); got != v.GitHub.Hex {
		t.Errorf("GitHub: %s", got)
	}
}

func TestWebhooksMatchThePublishedVector(t *testing.T) {
	w := published(t).Webhooks
	key, err := ParseWebhookKey([]byte(w.Secret))
	if err != nil {
		t.Fatal(err)
	}
	got, err := SignWebhook([]*Key{key}, w.ID, w.Timestamp, []byte(w.Payload))
	if err != nil || got != w.Signature {
		t.Errorf("%s, %v", got, err)
	}
	if err := VerifyWebhook([]*Key{key}, w.ID, w.Timestamp, w.Signature, []byte(w.Payload), time.Unix(1614265330, 0), time.Minute); err != nil {
		t.Error(err)
	}
}

func TestDigestsMatchPublishedVectors(t *testing.T) {
	for _, c := range published(t).RFC9530 {
		want := c.SHA256
		if want == "" {
			want = c.Digest
		}
		if got := Digest([]byte(c.Body)); got != want {
			t.Errorf("%q: %s", c.Body, got)
		}
		if err := CheckDigest(wire.Fields{{Name: "content-digest", Value: c.Digest}}, []byte(c.Body)); err != nil {
			t.Errorf("%q: %v", c.Body, err)
		}
	}
}

func TestMessageSignaturesMatchPublishedVectors(t *testing.T) {
	v := published(t)
	private, err := ParsePrivateKey([]byte(v.Ed25519.Private))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey([]byte(v.Ed25519.Public))
	if err != nil {
		t.Fatal(err)
	}
	shared := NewSharedKey(unbase64(t, v.HMAC.Key))
	for name, c := range map[string]struct {
		base, sig       string
		signs, verifies *Key
	}{"B.2.5": {v.HMAC.Base, v.HMAC.Sig, shared, shared}, "B.2.6": {v.Ed25519.Base, v.Ed25519.Sig, private, public}} {
		sig, err := c.signs.sign(c.base)
		if got := base64.StdEncoding.EncodeToString(sig); err != nil || got != c.sig {
			t.Errorf("%s: the signature of the published base is %s, %v", name, got, err)
		}
		lines := strings.Split(c.base, "\n")
		params := strings.TrimPrefix(lines[len(lines)-1], `"@signature-params": `)
		r := rfcRequest()
		r.Fields.Add("Signature-Input", "sig-b2="+params)
		r.Fields.Add("Signature", "sig-b2=:"+c.sig+":")
		verifier := MessageVerifier{Tolerance: time.Minute}
		if err := verifier.VerifyRequest(r, []*Key{c.verifies}, time.Unix(1618884473, 0)); err != nil {
			t.Errorf("%s: the published message is not verified: %v", name, err)
		}
		if err := verifier.VerifyRequest(r, []*Key{c.verifies}, time.Unix(1618884473+61, 0)); err != Stale {
			t.Errorf("%s: a minute later: %v", name, err)
		}
	}
}

// rfcRequest is the test request of RFC 9421 appendix B.2.
func rfcRequest() Request {
	return Request{Scheme: "https", Authority: "example.com", Request: &wire.Request{Method: "POST", Target: "/foo?param=Value&Pet=dog",
		Fields: wire.Fields{{Name: "Date", Value: "Tue, 20 Apr 2021 02:07:55 GMT"}, {Name: "Content-Type", Value: "application/json"},
			{Name: "Content-Digest", Value: "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"}},
		Body: wire.Body{Bytes: []byte(`{"hello": "world"}`)}}}
}

func TestAWSSignaturesMatchPublishedVectors(t *testing.T) {
	cases := published(t).AWS.Cases
	if len(cases) < 10 {
		t.Fatalf("%d vectors", len(cases))
	}
	for _, c := range cases {
		at, err := time.Parse("20060102T150405Z", c.At)
		if err != nil {
			t.Fatal(err)
		}
		r := Request{Scheme: "https", Authority: c.Host, Request: &wire.Request{Method: c.Method, Target: c.Target, Body: wire.Body{Bytes: []byte(c.Body)}}}
		for _, f := range c.Fields {
			r.Fields.Add(f[0], f[1])
		}
		if c.Hashed {
			r.Fields.Set(AWSContentSHA256, PayloadHash(r.Body.Bytes))
		}
		key := NewAWSKey([]byte(c.Key), c.Region, c.Service)
		got := key.Sign(r, c.ID, PayloadHash(r.Body.Bytes), at)
		if !strings.HasSuffix(got, "Signature="+c.Signature) || !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential="+c.ID+"/"+c.At[:8]+"/"+c.Region+"/"+c.Service+"/aws4_request, SignedHeaders=") {
			t.Errorf("%s: %s", c.Name, got)
		}
	}
}
