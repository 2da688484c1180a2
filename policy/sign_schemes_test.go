package policy

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// The key of RFC 9421 appendix B.1.4, both halves.
const (
	edPrivate = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n"
	edPublic  = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n"
	whsec     = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	whsecNew  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

func webhooks(t testing.TB, key string) *Sign {
	return &Sign{Scheme: schemeWebhooks, Secret: keep(t, []byte(key))}
}

func messages(t testing.TB, algorithm, key string, components ...string) *Sign {
	if len(components) == 0 {
		components = []string{"@method", "@target-uri", "content-digest", "content-type"}
	}
	return &Sign{Scheme: schemeMessage, Secret: keep(t, []byte(key)), Algorithm: algorithm, KeyID: "key-1", Label: "sig1", Components: components, Nonce: true}
}

func amazon(t testing.TB) *Sign {
	return &Sign{Scheme: schemeAWS, Secret: keep(t, []byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")), AccessKeyID: keep(t, []byte("AKIDEXAMPLE")),
		SessionToken: keep(t, []byte("a session token")), Region: "us-east-1", Service: "service"}
}

// arrived is a request as the external system saw it, ready to be verified: nothing in it comes from the sidecar's own
// view of the request.
func arrived(q upstream.Seen) signature.Request {
	target := strings.TrimPrefix(q.Target, "http://"+q.Host) // a target that net/http sends in absolute form
	return signature.Request{Scheme: "http", Authority: q.Host, Request: &wire.Request{Method: q.Method, Target: target, Fields: q.Fields, Body: wire.Body{Bytes: q.Body}}}
}

var everything = []string{"@method", "@target-uri", "@authority", "@scheme", "@path", "@query", "content-digest", "content-type", "content-length", "user-agent", "host",
	"accept", "accept-encoding", "x-two", "x-correlation-id", "x-idempotency-key", "authorization"}

func TestWhatIsSignedIsWhatArrives(t *testing.T) {
	for _, c := range []struct {
		method, target, body string
		fields               []string
	}{
		{"POST", "/orders", `{"a":1}`, []string{"Content-Type", "application/json"}},
		{"GET", "/a%2Fb/%7euser?q=1&b&c=%20+", "", []string{"User-Agent", "app/1", "Accept-Encoding", "gzip", "Accept", "*/*"}},
		{"DELETE", "//x//y/?=%zz;&\"'", "", []string{"User-Agent", ""}},
		{"PUT", "/?", "", []string{"X-Two", "one", "X-Two", " two ", "x-two", ""}},
		{"PATCH", "/~/./a//b/", "x", []string{"Content-Type", "text/plain ", "Content-Digest", "md5=:AAAA:", "Signature", "forged=:AA==:", "X-Amz-Security-Token", "forged"}},
		{"POST", "/empty?x=/y?z", "", []string{"Content-Digest", signature.Digest(nil)}},
		{"POST", "/umlaut/%C3%A9?é=ü", "é", []string{"Content-Digest", signature.Digest([]byte("é")) + ", md5=:AAAA:"}},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			send := func(s *Sign, edits ...func(*Settings)) upstream.Seen {
				t.Helper()
				u := upstream.Script(t, upstream.OK(""))
				r := newRig(t, u.URL(), quick(append(edits, func(set *Settings) { set.Sign = s })...))
				if a := r.call(c.method, c.target, c.body, c.fields...); a.err != nil {
					t.Fatal(a.err)
				}
				return u.Request(1)
			}
			token := func(s *Settings) { s.Auth = &Auth{Bearer: keep(t, []byte("token"))} }
			verifier := signature.MessageVerifier{Label: "sig1", KeyID: "key-1", Tolerance: time.Minute}
			for algorithm, keys := range map[string][2]string{signature.HMACSHA256: {"shared", "shared"}, signature.Ed25519: {edPrivate, edPublic}} {
				got := arrived(send(messages(t, algorithm, keys[0], everything...), token))
				key, err := parseMessageKey(algorithm, "raw", signature.ParsePublicKey)([]byte(keys[1]))
				if err != nil {
					t.Fatal(err)
				}
				if err := verifier.VerifyRequest(got, []*signature.Key{key}, time.Now()); err != nil {
					t.Errorf("%s: %v: %v", algorithm, err, got.Fields)
				}
				covered := got.Fields.Get(signature.SignatureInput)
				if strings.Contains(covered, "content-digest") != (c.body != "" || len(c.fields) > 0 && c.fields[0] == "Content-Digest") || !strings.Contains(covered, `"authorization"`) {
					t.Errorf("%s covers %s", algorithm, covered)
				}
			}
			got := arrived(send(webhooks(t, whsec)))
			key, _ := signature.ParseWebhookKey([]byte(whsec))
			f := got.Fields
			if err := signature.VerifyWebhook([]*signature.Key{key}, f.Get("Webhook-Id"), f.Get("Webhook-Timestamp"), f.Get("Webhook-Signature"), got.Body.Bytes, time.Now(), time.Minute); err != nil {
				t.Errorf("webhook: %v: %v", err, f)
			}
			wantAWS(t, arrived(send(amazon(t))))
		})
	}
}

// wantAWS signs a request once more, as AWS does, and expects the same.
func wantAWS(t *testing.T, r signature.Request) {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", r.Fields.Get(signature.AWSDate))
	if err != nil {
		t.Fatal(err)
	}
	sent := r.Fields.Get("Authorization")
	again := signature.NewAWSKey([]byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "us-east-1", "service").Sign(r, "AKIDEXAMPLE", signature.PayloadHash(r.Body.Bytes), at)
	if sent != again || r.Fields.Get(signature.AWSToken) != "a session token" || r.Fields.Get(signature.AWSContentSHA256) != signature.PayloadHash(r.Body.Bytes) ||
		!strings.Contains(sent, "host;x-amz-content-sha256;x-amz-date;x-amz-security-token, ") {
		t.Errorf("sent %s, signs as %s: %v", sent, again, r.Fields)
	}
}

// What the application sends to be signed is not ours to lose, so a digest that is wrong is said.
func TestADigestOfAnotherBodyIsRefused(t *testing.T) {
	u := upstream.Script(t)
	r := newRig(t, u.URL(), quick(func(s *Settings) { s.Sign = messages(t, signature.HMACSHA256, "k") }))
	a := r.call("POST", "/", "body", "Content-Digest", signature.Digest([]byte("another")))
	if kindOf(a.err) != problem.InvalidRequest || len(a.x.Attempts) != 0 {
		t.Errorf("%v after %d attempts", a.err, len(a.x.Attempts))
	}
}

func TestHTTP2CarriesTheAuthorityThatWasSigned(t *testing.T) {
	faults := make(chan error, 1)
	u := upstream.H2(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := signature.Request{Scheme: "https", Authority: r.Host, Request: &wire.Request{Method: r.Method, Target: r.RequestURI, Fields: wire.FromHeader(r.Header), Body: wire.Body{Bytes: body}}}
		err := (&signature.MessageVerifier{Tolerance: time.Minute}).VerifyRequest(got, []*signature.Key{signature.NewSharedKey([]byte("k"))}, time.Now())
		if err == nil && r.ProtoMajor != 2 {
			err = fmt.Errorf("by %s", r.Proto)
		}
		faults <- err
	}))
	r := newRig(t, u.URL(), quick(func(s *Settings) {
		s.Sign, s.Host.TLS = messages(t, signature.HMACSHA256, "k", everything...), &TLS{CA: pemFile(t, "ca.pem", u.CA())}
	}))
	if a := r.call("POST", "/a%2Fb?c", "body", "Cookie", "a=b; c=d"); a.err != nil {
		t.Fatal(a.err)
	}
	if err := <-faults; err != nil {
		t.Error(err)
	}
}

func TestTheAuthorityHasOneForm(t *testing.T) {
	for raw, want := range map[string]string{"https://API.Example.com:443": "api.example.com", "http://api.example.com:80/x": "api.example.com", "https://api.example.com:80": "api.example.com:80",
		"http://[2001:DB8::1]:80": "[2001:db8::1]", "http://a.test:": "a.test", "http://a.test:8080": "a.test:8080"} {
		h := testHost(t, raw, testSettings())
		u, err := url.Parse(raw)
		if err != nil || h.engine.host != want || Origin(u) != u.Scheme+"://"+want {
			t.Errorf("%s is %s, want %s (%v)", raw, h.engine.host, want, err)
		}
	}
}

func TestAWebhookKeepsItsIDAndChangesItsTime(t *testing.T) {
	s := webhooks(t, whsec)
	synctest.Test(t, func(t *testing.T) {
		written := testExchange(t, "POST", "/", "body")
		written.Key = Key{Value: "order.7", Scope: strings.Repeat("ab", 32), Source: KeyApplication}
		read := testExchange(t, "GET", "/", "")
		for name, x := range map[string]*Exchange{"write": written, "read": read} {
			replay := replayOf(t, x, problem.TypeServerError, false)
			replay.Key = x.Key
			all := append(signed(t, s, x, 3), signed(t, s, replay, 1)...)
			last := ""
			for i, f := range all {
				id, stamp := f.Get(signature.WebhookID), f.Get(signature.WebhookTimestamp)
				if id != all[0].Get(signature.WebhookID) || !strings.HasPrefix(id, "msg_") || strings.Contains(id, ".") || i < 3 && stamp <= last {
					t.Errorf("%s, attempt %d: id %s at %s after %s", name, i+1, id, stamp, last)
				}
				last = stamp
			}
		}
		other := testExchange(t, "POST", "/", "body")
		other.Key = Key{Value: "order.7", Scope: strings.Repeat("cd", 32), Source: KeyApplication}
		if signed(t, s, other, 1)[0].Get(signature.WebhookID) == signed(t, s, written, 1)[0].Get(signature.WebhookID) {
			t.Error("the same key in another scope has the same id")
		}
	})
}

func TestBothKeysSignDuringARotation(t *testing.T) {
	s := webhooks(t, whsecNew)
	s.Previous = keep(t, []byte(whsec))
	f := signed(t, s, testExchange(t, "POST", "/", "body"), 1)[0]
	if list := strings.Split(f.Get(signature.WebhookSignature), " "); len(list) != 2 || list[0] == list[1] {
		t.Errorf("signatures %q", list)
	}
	for _, text := range []string{whsec, whsecNew} {
		key, _ := signature.ParseWebhookKey([]byte(text))
		if err := signature.VerifyWebhook([]*signature.Key{key}, f.Get(signature.WebhookID), f.Get(signature.WebhookTimestamp), f.Get(signature.WebhookSignature), []byte("body"), time.Now(), time.Minute); err != nil {
			t.Errorf("who has only %s: %v", text, err)
		}
	}
	s.Previous = keep(t, []byte(whsecNew))
	if list := strings.Split(signed(t, s, testExchange(t, "POST", "/", "body"), 1)[0].Get(signature.WebhookSignature), " "); len(list) != 1 {
		t.Errorf("one key signed twice: %q", list)
	}
}

func TestOnlySignaturesThatWouldRepeatAreDatedAhead(t *testing.T) {
	s := messages(t, signature.HMACSHA256, "k")
	s.Expires = units.Duration(time.Minute)
	created := func(s *Sign) (list []string) {
		for _, f := range signed(t, s, testExchange(t, "POST", "/", "x"), 2) {
			_, after, _ := strings.Cut(f.Get(signature.SignatureInput), ";")
			list = append(list, after)
		}
		return list
	}
	synctest.Test(t, func(t *testing.T) { // begins at 946684800
		if list := created(s); !strings.HasPrefix(list[1], "created=946684800;expires=946684860;nonce=") || list[0] == list[1] {
			t.Errorf("with nonces: %q", list)
		}
		s.Nonce = false
		if list := created(s); !strings.HasPrefix(list[0], "created=946684800;expires=946684860;keyid=") || !strings.HasPrefix(list[1], "created=946684801;expires=946684861;keyid=") {
			t.Errorf("without nonces: %q", list)
		}
	})
}

// sentFields are the fields of a POST of {"a":1} to /orders?x=1 at the epoch of synctest.
var sentFields = map[string]string{
	"standard-webhooks": `webhook-id: msg_3f694311302b079b85351ec63a9e2361` + "\n" +
		`webhook-timestamp: 946684800` + "\n" +
		`webhook-signature: v1,45SJRlyWIvbFl9OBK/kcA4UP7vLBZr+CUrA8hTKI1Uw=` + "\n",
	"http-message-signatures": `Content-Digest: sha-256=:AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI=:` + "\n" +
		`Signature-Input: sig1=("@method" "@target-uri" "content-digest");created=946684800;keyid="key-1";alg="ed25519"` + "\n" +
		`Signature: sig1=:PuMwEc5HhVu0H5P4TDwph/mDG4MKnccoOv9/mFJyMrPimVJoZppkEAs3kGJtq8h6EhuAN3jA+ZwO+WZCybA3Aw==:` + "\n",
	"aws-sigv4": `X-Amz-Security-Token: a session token` + "\n" +
		`X-Amz-Content-Sha256: 015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862` + "\n" +
		`X-Amz-Date: 20000101T000000Z` + "\n" +
		`Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20000101/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=9468ce69cafbf7ec816badf9c9a59b41c4c881f32dcf026521a3e027dd6d42d2` + "\n",
}

// TestWhatIsSent holds every scheme to what it sent when the providers' own libraries believed it.
func TestWhatIsSent(t *testing.T) {
	fixed := messages(t, signature.Ed25519, edPrivate)
	fixed.Nonce = false
	for _, s := range []*Sign{webhooks(t, whsec), fixed, amazon(t)} {
		synctest.Test(t, func(t *testing.T) {
			x := testExchange(t, "POST", "/orders?x=1", `{"a":1}`)
			x.Key.Value = "order-7"
			text := ""
			for _, f := range signed(t, s, x, 1)[0] {
				text += f.Name + ": " + f.Value + "\n"
			}
			if want := sentFields[s.Scheme]; text != want {
				t.Errorf("%s sent\n%s\nwant\n%s", s.Scheme, text, want)
			}
		})
	}
}
