package signature

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

var at = time.Unix(1_700_000_000, 0)

func keys(t testing.TB) (shared, private, public, other *Key) {
	t.Helper()
	v := published(t)
	private, err := ParsePrivateKey([]byte(v.Ed25519.Private))
	if err != nil {
		t.Fatal(err)
	}
	public, err = ParsePublicKey([]byte(v.Ed25519.Public))
	if err != nil {
		t.Fatal(err)
	}
	return NewSharedKey([]byte("a shared secret of 24 by")), private, public, NewSharedKey([]byte("another secret"))
}

// broken are signatures that must not pass for sum: truncated, extended, changed, none.
func broken(sum []byte) map[string][]byte {
	flipped := append([]byte(nil), sum...)
	flipped[len(flipped)-1] ^= 1
	first := append([]byte(nil), sum...)
	first[0] ^= 0x80
	return map[string][]byte{"truncated to 16": sum[:16], "one byte short": sum[:len(sum)-1], "one byte": sum[:1], "none": {}, "zeros": make([]byte, len(sum)),
		"extended": append(append([]byte(nil), sum...), 0), "twice": append(append([]byte(nil), sum...), sum...), "last bit": flipped, "first bit": first}
}

func TestAWebhookThatWasChangedIsRefused(t *testing.T) {
	shared, private, public, other := keys(t)
	body, stamp := []byte(`{"paid":true}`), strconv.FormatInt(at.Unix(), 10)
	for name, pair := range map[string][2]*Key{"v1": {shared, shared}, "v1a": {private, public}} {
		value, err := SignWebhook([]*Key{pair[0]}, "msg_1", stamp, body)
		if err != nil {
			t.Fatal(err)
		}
		verify := func(id, stamp, value string, body []byte, keys ...*Key) error {
			return VerifyWebhook(keys, id, stamp, value, body, at, 5*time.Minute)
		}
		for _, good := range []string{value, "v1,AAAA " + value, "v2,x v1a,y " + value, "garbage " + value + " v1,"} {
			if err := verify("msg_1", stamp, good, body, other, pair[1]); err != nil {
				t.Errorf("%s: %q: %v", name, good, err)
			}
		}
		version, text, _ := strings.Cut(value, ",")
		bad := map[string]error{
			"body":               verify("msg_1", stamp, value, []byte(`{"paid":false}`), pair[1]),
			"no body":            verify("msg_1", stamp, value, nil, pair[1]),
			"id":                 verify("msg_2", stamp, value, body, pair[1]),
			"no id":              verify("", stamp, value, body, pair[1]),
			"id with a stop":     verify("msg.1", stamp, value, body, pair[1]),
			"timestamp":          verify("msg_1", "1700000001", value, body, pair[1]),
			"old":                verify("msg_1", "1699999699", value, body, pair[1]),
			"future":             verify("msg_1", "1700000301", value, body, pair[1]),
			"no timestamp":       verify("msg_1", "", value, body, pair[1]),
			"padded timestamp":   verify("msg_1", "01700000000", value, body, pair[1]),
			"timestamp in words": verify("msg_1", "now", value, body, pair[1]),
			"huge timestamp":     verify("msg_1", "99999999999999999999", value, body, pair[1]),
			"key":                verify("msg_1", stamp, value, body, other),
			"no key":             verify("msg_1", stamp, value, body),
			"no signature":       verify("msg_1", stamp, "", body, pair[1]),
			"version":            verify("msg_1", stamp, "v9,"+text, body, pair[1]),
			"no version":         verify("msg_1", stamp, text, body, pair[1]),
			"no padding":         verify("msg_1", stamp, strings.TrimRight(value, "="), body, pair[1]),
			"beyond the bound":   verify("msg_1", stamp, strings.Repeat("v1,AAAA ", maxSignatures)+value, body, pair[1]),
		}
		for how, sum := range broken(unbase64(t, text)) {
			bad["signature "+how] = verify("msg_1", stamp, version+","+base64.StdEncoding.EncodeToString(sum), body, pair[1])
		}
		for how, err := range bad {
			if err == nil {
				t.Errorf("%s: changed %s, and believed", name, how)
			}
		}
	}
}

func components(t testing.TB, response bool, names ...string) (list []Component) {
	t.Helper()
	for _, name := range names {
		c, fault := ParseComponent(name, response)
		if fault != "" {
			t.Fatal(name, fault)
		}
		list = append(list, c)
	}
	return list
}

// signedRequest carries a signature by key over all that a signature can cover.
func signedRequest(t testing.TB, key *Key) Request {
	t.Helper()
	r := Request{Scheme: "https", Authority: "api.test", Request: &wire.Request{Method: "POST", Target: "/a%2Fb?q=1", Body: wire.Body{Bytes: []byte(`{"a":1}`)},
		Fields: wire.Fields{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Two", Value: " one "}, {Name: "x-two", Value: "two"},
			{Name: ContentDigest, Value: Digest([]byte(`{"a":1}`))}}}}
	s, err := NewMessageSigner("sig1", components(t, false, "@method", "@target-uri", "@authority", "@scheme", "@path", "@query", "content-digest", "content-type", "X-Two",
		"content-length", "host", "x-absent"), "key-1", key.Algorithm(), "app")
	if err != nil {
		t.Fatal(err)
	}
	input, sig, err := s.Sign(r, key, Times{Created: at.Unix(), Expires: at.Unix() + 60, Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	r.Fields.Add(SignatureInput, input)
	r.Fields.Add(SignatureField, sig)
	return r
}

func TestASignedRequestReadsAsItIsMeant(t *testing.T) {
	_, private, _, _ := keys(t)
	r := signedRequest(t, private)
	const want = `sig1=("@method" "@target-uri" "@authority" "@scheme" "@path" "@query" "content-digest" "content-type" "x-two" "content-length" "host")` +
		`;created=1700000000;expires=1700000060;nonce="n";keyid="key-1";alg="ed25519";tag="app"`
	if got := r.Fields.Get(SignatureInput); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestAMessageThatWasChangedIsRefused(t *testing.T) {
	shared, private, public, other := keys(t)
	for name, pair := range map[string][2]*Key{"hmac-sha256": {shared, shared}, "ed25519": {private, public}} {
		verify := func(edit func(r *Request, v *MessageVerifier)) error {
			r := signedRequest(t, pair[0])
			v := &MessageVerifier{Label: "sig1", KeyID: "key-1", Required: components(t, false, "@method", "content-digest"), Tolerance: 5 * time.Minute}
			edit(&r, v)
			return v.VerifyRequest(r, []*Key{other, pair[1]}, at)
		}
		if err := verify(func(*Request, *MessageVerifier) {}); err != nil {
			t.Errorf("%s: unchanged: %v", name, err)
		}
		field := func(name, old, fresh string) func(*Request, *MessageVerifier) {
			return func(r *Request, _ *MessageVerifier) {
				value := r.Fields.Get(name)
				if old != "" && !strings.Contains(value, old) {
					t.Fatalf("%s holds no %s", name, old)
				}
				r.Fields.Set(name, strings.Replace(value, old, fresh, 1))
			}
		}
		edits := map[string]func(*Request, *MessageVerifier){
			"method":    func(r *Request, _ *MessageVerifier) { r.Method = "PUT" },
			"target":    func(r *Request, _ *MessageVerifier) { r.Target = "/a/b?q=1" },
			"query":     func(r *Request, _ *MessageVerifier) { r.Target += "2" },
			"authority": func(r *Request, _ *MessageVerifier) { r.Authority = "evil.test" },
			"scheme":    func(r *Request, _ *MessageVerifier) { r.Scheme = "http" },
			"body":      func(r *Request, _ *MessageVerifier) { r.Body.Bytes = []byte(`{"a":2}`) },
			"body and digest": func(r *Request, _ *MessageVerifier) {
				r.Body.Bytes = []byte("x")
				r.Fields.Set(ContentDigest, Digest([]byte("x")))
			},
			"type":               field("Content-Type", "json", "xml"),
			"a line":             func(r *Request, _ *MessageVerifier) { r.Fields.Add("X-Two", "three") },
			"a line gone":        func(r *Request, _ *MessageVerifier) { r.Fields.Del("Content-Type") },
			"created":            field(SignatureInput, "created=1700000000", "created=1700000001"),
			"created as text":    field(SignatureInput, "created=1700000000", `created="1700000000"`),
			"no created":         field(SignatureInput, ";created=1700000000", ""),
			"expires":            field(SignatureInput, "expires=1700000060", "expires=1700000061"),
			"expired":            field(SignatureInput, "expires=1700000060", "expires=1699999999"),
			"nonce":              field(SignatureInput, `nonce="n"`, `nonce="m"`),
			"key id":             field(SignatureInput, `keyid="key-1"`, `keyid="key-2"`),
			"algorithm":          field(SignatureInput, `alg="`+name+`"`, `alg="rsa-pss-sha512"`),
			"no algorithm":       field(SignatureInput, `;alg="`+name+`"`, ""),
			"covers less":        field(SignatureInput, ` "content-type"`, ""),
			"covers it twice":    field(SignatureInput, ` "content-type"`, ` "content-type" "content-type"`),
			"another order":      field(SignatureInput, `"@method" "@target-uri"`, `"@target-uri" "@method"`),
			"a parameter":        field(SignatureInput, `"@method"`, `"@method";sf`),
			"an unknown one":     field(SignatureInput, `"@method"`, `"@request-target"`),
			"one in upper case":  field(SignatureInput, `"x-two"`, `"X-Two"`),
			"one that is absent": field(SignatureInput, `"x-two"`, `"x-three"`),
			"label":              field(SignatureInput, "sig1=", "sig2="),
			"no input":           func(r *Request, _ *MessageVerifier) { r.Fields.Del(SignatureInput) },
			"no signature":       func(r *Request, _ *MessageVerifier) { r.Fields.Del(SignatureField) },
			"input is no list":   func(r *Request, _ *MessageVerifier) { r.Fields.Set(SignatureInput, "sig1=1") },
			"input is garbage":   func(r *Request, _ *MessageVerifier) { r.Fields.Set(SignatureInput, "((") },
			"signature is text":  func(r *Request, _ *MessageVerifier) { r.Fields.Set(SignatureField, `sig1="x"`) },
			"signature garbage":  func(r *Request, _ *MessageVerifier) { r.Fields.Set(SignatureField, "=:") },
			"label is another":   func(_ *Request, v *MessageVerifier) { v.Label = "sig2" },
			"key is another":     func(_ *Request, v *MessageVerifier) { v.KeyID = "key-2" },
			"more is required":   func(_ *Request, v *MessageVerifier) { v.Required = components(t, false, "date") },
			"it is too old":      func(_ *Request, v *MessageVerifier) { v.Tolerance = -time.Second },
		}
		sum := unbase64(t, strings.Trim(strings.TrimPrefix(signedRequest(t, pair[0]).Fields.Get(SignatureField), "sig1="), ":"))
		for how, b := range broken(sum) {
			edits["signature "+how] = func(r *Request, _ *MessageVerifier) {
				r.Fields.Set(SignatureField, "sig1=:"+base64.StdEncoding.EncodeToString(b)+":")
			}
		}
		for how, edit := range edits {
			if err := verify(edit); err == nil {
				t.Errorf("%s: changed %s, and believed", name, how)
			}
		}
		if err := verify(func(r *Request, _ *MessageVerifier) { r.Fields.Del(SignatureField); r.Fields.Del(SignatureInput) }); err != Missing {
			t.Errorf("unsigned: %v", err)
		}
	}
}

// A public key that is taken for a shared secret would let anybody who knows it sign.
func TestAPublicKeyIsNoSharedSecret(t *testing.T) {
	_, _, public, _ := keys(t)
	forged := NewSharedKey(public.public)
	r := signedRequest(t, forged)
	v := &MessageVerifier{Tolerance: time.Minute}
	if err := v.VerifyRequest(r, []*Key{public}, at); err != Mismatch {
		t.Errorf("got %v", err)
	}
	if _, err := public.sign("x"); err != onlyVerifies {
		t.Errorf("a public key signed: %v", err)
	}
}

func TestAResponseIsBoundToItsRequest(t *testing.T) {
	shared, _, _, _ := keys(t)
	r := signedRequest(t, shared)
	resp := &wire.Response{Status: 200, Content: []byte("done"), Fields: wire.Fields{{Name: ContentDigest, Value: Digest([]byte("done"))}}}
	base := "\"@status\": 200\n\"content-digest\": " + Digest([]byte("done")) + "\n\"@method\";req: POST\n\"x-two\";req: one, two\n"
	const params = `("@status" "content-digest" "@method";req "x-two";req);created=1700000000`
	sig := shared.mac.of(base + `"@signature-params": ` + params)
	resp.Fields.Add(SignatureInput, "any="+params)
	resp.Fields.Add(SignatureField, "any=:"+base64.StdEncoding.EncodeToString(sig)+":")
	v := &MessageVerifier{Required: components(t, true, "@status", "content-digest", "@method;req"), Tolerance: time.Minute}
	if err := v.Verify(resp, r, []*Key{shared}, at); err != nil {
		t.Fatal(err)
	}
	changed := *resp
	changed.Status = 201
	other := r
	copied := *r.Request
	copied.Method = "PUT"
	other.Request = &copied
	shorter := *resp
	shorter.Content = []byte("don")
	for how, err := range map[string]error{"status": v.Verify(&changed, r, []*Key{shared}, at), "request": v.Verify(resp, other, []*Key{shared}, at),
		"body": v.Verify(&shorter, r, []*Key{shared}, at)} {
		if err == nil {
			t.Errorf("another %s is believed", how)
		}
	}
}

func TestDigestsThatSayNothingAndThoseThatAreWrong(t *testing.T) {
	body := []byte("body")
	for value, want := range map[string]error{
		Digest(body):                                 nil,
		Digest(body) + ", md5=:AAAA:":                nil,
		Digest(body) + ", sha-512=:AAAA:":            WrongDigest,
		"md5=:AAAA:":                                 NoDigest,
		Digest([]byte("Body")):                       WrongDigest,
		"sha-256=" + strings.Trim(Digest(body), ":"): WrongDigest,
		"sha-256=::":                                 WrongDigest,
		`sha-256="x"`:                                WrongDigest,
		"sha-256=(1 2)":                              WrongDigest,
		"((":                                         WrongDigest,
	} {
		if err := CheckDigest(wire.Fields{{Name: ContentDigest, Value: value}}, body); err != want && (err == nil || want == nil || err.Error() != want.Error()) {
			t.Errorf("%s: %v, want %v", value, err, want)
		}
	}
	if err := CheckDigest(nil, body); err != NoDigest {
		t.Errorf("none: %v", err)
	}
}

func TestComponentsThatCannotBeSignedAreFaults(t *testing.T) {
	for text, response := range map[string]bool{"@request-target": false, "@status": false, "@method": true, "@query-param": false, "signature": false, "Signature-Input": true,
		"": false, "a b": false, "@method;req": false, "@status;req": true, "x;sf": true, "x;bs": false} {
		if c, fault := ParseComponent(text, response); fault == "" {
			t.Errorf("%q became %+v", text, c)
		}
	}
}
