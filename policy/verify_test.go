package policy

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/units"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

// provider signs responses on its own, not with the sidecar's code, so that a mistake there does not confirm itself.
type provider struct {
	scheme string
	key    []byte // of HMAC
	skew   time.Duration
}

func sum(key []byte, content string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(content))
	return h.Sum(nil)
}

// sign is an answer with a signature over status and body, but carries sent as its body.
func (p provider) sign(q *upstream.Seen, status int, body, sent string) upstream.Step {
	now := strconv.FormatInt(time.Now().Add(p.skew).Unix(), 10)
	step := upstream.Status(status, sent)
	switch p.scheme {
	case schemeWebhooks:
		return upstream.WithHeader(step, "webhook-id", "msg_1", "webhook-timestamp", now, "webhook-signature",
			"v1,"+base64.StdEncoding.EncodeToString(sum(p.key, "msg_1."+now+"."+body)))
	case schemeMessage:
		digest := sha256.Sum256([]byte(body))
		value := "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
		params := `("@status" "content-digest" "@target-uri";req);created=` + now + `;keyid="theirs";alg="ed25519"`
		base := "\"@status\": " + strconv.Itoa(status) + "\n\"content-digest\": " + value + "\n\"@target-uri\";req: http://" + q.Host + q.Target + "\n\"@signature-params\": " + params
		return upstream.WithHeader(step, "Content-Digest", value, "Signature-Input", "resp="+params,
			"Signature", "resp=:"+base64.StdEncoding.EncodeToString(ed25519.Sign(edKey(), []byte(base)))+":")
	}
	content := now + "." + strconv.Itoa(status) + "." + q.Target + "." + body
	return upstream.WithHeader(step, "X-Their-Time", now, "X-Their-Signature", "v1="+hex.EncodeToString(sum(p.key, content)))
}

func edKey() ed25519.PrivateKey {
	block, _ := pem.Decode([]byte(edPrivate))
	parsed, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
	return parsed.(ed25519.PrivateKey)
}

// verifying is an adapter that believes the provider.
func verifying(t testing.TB, p provider) func(*Settings) {
	v := &VerifyResponse{Scheme: p.scheme, Secret: keep(t, p.key), Statuses: []string{"2xx"}, Tolerance: units.Duration(5 * time.Minute)}
	switch p.scheme {
	case schemePlain:
		v.Header, v.TimestampHeader, v.IDHeader, v.Prefix, v.Encoding, v.Content = "X-Their-Signature", "X-Their-Time", "X-ID", "v1=", "hex", "{timestamp}.{status}.{path}{query}.{body}"
	case schemeWebhooks:
		v.Secret = keep(t, []byte("whsec_"+base64.StdEncoding.EncodeToString(p.key)))
	case schemeMessage:
		v.Secret, v.Algorithm, v.Components = keep(t, []byte(edPublic)), signature.Ed25519, []string{"@status", "content-digest", "@target-uri;req"}
	}
	return func(s *Settings) {
		s.Sign = builtInSign(keep(t, []byte("ours")))
		s.Sign.VerifyResponse = v
	}
}

func providers() []provider {
	key := []byte("a provider's key of 24 b")
	return []provider{{scheme: schemePlain, key: key}, {scheme: schemeWebhooks, key: key}, {scheme: schemeMessage, key: key}}
}

func TestOnlySignedResponsesAreBelieved(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	for _, p := range providers() {
		late, early := p, p
		late.skew, early.skew = -6*time.Minute, 6*time.Minute
		for name, c := range map[string]struct {
			answer   func(q *upstream.Seen) upstream.Step
			believed bool
			why      string
		}{
			"signed":          {func(q *upstream.Seen) upstream.Step { return p.sign(q, 200, "yes", "yes") }, true, ""},
			"signed, no body": {func(q *upstream.Seen) upstream.Step { return p.sign(q, 200, "", "") }, true, ""},
			"body changed":    {func(q *upstream.Seen) upstream.Step { return p.sign(q, 200, "yes", "no!") }, false, "does not match"},
			"body truncated":  {func(q *upstream.Seen) upstream.Step { return p.sign(q, 200, "yes", "ye") }, false, "does not match"},
			"not signed":      {func(*upstream.Seen) upstream.Step { return upstream.OK("yes") }, false, "carries no signature"},
			"old":             {func(q *upstream.Seen) upstream.Step { return late.sign(q, 200, "yes", "yes") }, false, "too far from now"},
			"of the future":   {func(q *upstream.Seen) upstream.Step { return early.sign(q, 200, "yes", "yes") }, false, "too far from now"},
			"too long":        {func(q *upstream.Seen) upstream.Step { return p.sign(q, 200, long, long) }, false, "larger than max_body"},
			"event stream": {func(q *upstream.Seen) upstream.Step {
				return upstream.WithHeader(p.sign(q, 200, "yes", "yes"), "Content-Type", "text/event-stream")
			}, true, ""},
			"404 of a gateway":   {func(*upstream.Seen) upstream.Step { return upstream.Status(404, "no such thing") }, true, ""},
			"404 signed":         {func(q *upstream.Seen) upstream.Step { return p.sign(q, 404, "no", "no") }, true, ""},
			"404 signed wrongly": {func(q *upstream.Seen) upstream.Step { return p.sign(q, 404, "no", "No") }, false, "does not match"},
		} {
			t.Run(p.scheme+" "+name, func(t *testing.T) {
				u := upstream.Func(t, func(_ int, q *upstream.Seen) upstream.Step { return c.answer(q) })
				r := newRig(t, u.URL(), quick(retryOff, verifying(t, p)))
				a := r.call("GET", "/a", "")
				if c.believed != (a.err == nil) {
					t.Fatalf("%v %d %.20s", a.err, a.status, a.body)
				}
				if !c.believed && (kindOf(a.err) != problem.BadUpstreamResponse || !strings.Contains(a.err.Error(), c.why) || a.x.Attempts[0].Status == 0 || a.x.Attempts[0].Error == "") {
					t.Errorf("%v, attempt %+v", a.err, a.x.Attempts[0])
				}
			})
		}
	}
}

func TestAResponseOfAnotherCallIsNotBelieved(t *testing.T) {
	for _, p := range []provider{providers()[0], providers()[2]} { // Standard Webhooks knows no requests
		u := upstream.Func(t, func(_ int, q *upstream.Seen) upstream.Step {
			other := *q
			other.Target = "/b"
			return p.sign(&other, 200, "yes", "yes")
		})
		if a := newRig(t, u.URL(), quick(retryOff, verifying(t, p))).call("GET", "/a", ""); kindOf(a.err) != problem.BadUpstreamResponse {
			t.Errorf("%s: %v", p.scheme, a.err)
		}
	}
}

func TestAnAnswerToHEADIsJudgedWithoutItsBody(t *testing.T) {
	p := providers()[2]
	u := upstream.Func(t, func(_ int, q *upstream.Seen) upstream.Step { return p.sign(q, 200, "the body of the GET", "") })
	if a := newRig(t, u.URL(), quick(retryOff, verifying(t, p))).call("HEAD", "/a", ""); a.err != nil {
		t.Error(a.err)
	}
}

func TestTheProvidersOtherKeyIsBelievedToo(t *testing.T) {
	for _, p := range providers()[:2] {
		u := upstream.Func(t, func(_ int, q *upstream.Seen) upstream.Step { return p.sign(q, 200, "yes", "yes") })
		r := newRig(t, u.URL(), quick(retryOff, verifying(t, p), func(s *Settings) {
			v := s.Sign.VerifyResponse
			v.Previous, v.Secret = v.Secret, keep(t, []byte(whsecNew))
		}))
		if a := r.call("GET", "/a", ""); a.err != nil {
			t.Errorf("%s: %v", p.scheme, a.err)
		}
	}
}

// A write whose answer is not believed may have taken effect: somebody answered it. It must not be sent twice because
// a signature was wrong, unless the provider drops duplicates.
func TestAWriteIsNotSentTwiceBecauseASignatureWasWrong(t *testing.T) {
	for _, p := range providers() {
		for name, c := range map[string]struct {
			method   string
			honoured bool
			sent     int
			unknown  bool
		}{"POST": {"POST", false, 1, true}, "POST honoured": {"POST", true, 3, false}, "PUT": {"PUT", false, 3, false}, "GET": {"GET", false, 3, false}} {
			t.Run(p.scheme+" "+name, func(t *testing.T) {
				u := upstream.Func(t, func(n int, q *upstream.Seen) upstream.Step {
					if n < 3 {
						return p.sign(q, 201, "made", "MADE")
					}
					return p.sign(q, 201, "made", "made")
				})
				body := ""
				if c.method != "GET" {
					body = "{}"
				}
				r := newRig(t, u.URL(), quick(verifying(t, p), func(s *Settings) { s.Idempotency.Honoured = c.honoured }))
				a := r.call(c.method, "/a", body, "Idempotency-Key", "k-1")
				if u.Hits() != c.sent || a.x.Unknown != c.unknown || (a.err == nil) == c.unknown {
					t.Fatalf("sent %d times, unknown %v: %v", u.Hits(), a.x.Unknown, a.err)
				}
				if !c.unknown {
					return
				}
				if found := letters(t, r.spool); len(found) != 1 || found[0].Error.Type != problem.TypeOutcomeUnknown || found[0].Attempts[0].Status != 201 || a.err.(*problem.Problem).Retryable() {
					t.Errorf("letters %+v, %v", found, a.err)
				}
				if again := r.call(c.method, "/a", body, "Idempotency-Key", "k-1"); kindOf(again.err) != problem.OutcomeUnknown || u.Hits() != 1 {
					t.Errorf("again: %v after %d", again.err, u.Hits())
				}
			})
		}
	}
}

func TestABreakerCountsWhatIsNotBelieved(t *testing.T) {
	u := upstream.Always(t, upstream.OK("unsigned"))
	r := newRig(t, u.URL(), quick(retryOff, verifying(t, providers()[0])))
	for range r.host.settings.Breaker.FailureThreshold {
		r.call("GET", "/a", "")
	}
	if a := r.call("GET", "/a", ""); kindOf(a.err) != problem.CircuitOpen || r.host.LastFailure() == "" {
		t.Errorf("%v, last failure %q", a.err, r.host.LastFailure())
	}
}

func TestWithoutTheKeyOfResponsesNothingIsSent(t *testing.T) {
	r := newRig(t, upstream.Script(t).URL(), quick(verifying(t, providers()[0]), func(s *Settings) { s.Sign.VerifyResponse.Secret = "env:VERIFY_TEST_ABSENT" }))
	if a := r.call("POST", "/a", "{}"); kindOf(a.err) != problem.CredentialsUnavailable || a.x.Unknown {
		t.Errorf("%v, unknown %v", a.err, a.x.Unknown)
	}
	bad := quick(verifying(t, providers()[0]), func(s *Settings) { s.Sign.VerifyResponse.Content = "{typo}" })
	if _, err := verified(bad, r.host, secret.NewResolver()); err == nil {
		t.Error("a bad template compiled")
	}
	if stage, err := verified(testSettings(), r.host, nil); stage != nil || err != nil {
		t.Error("verification that is off is a stage")
	}
}

func TestMACsOfResponsesThatAreRefused(t *testing.T) {
	key := []byte("k")
	good := hex.EncodeToString(sum(key, "body"))
	for name, value := range map[string]string{"truncated": "v1=" + good[:32], "one byte short": "v1=" + good[:62], "odd": "v1=" + good[:63], "extended": "v1=" + good + "00",
		"no prefix": good, "another prefix": "v2=" + good, "empty": "v1=", "not hex": "v1=" + strings.Repeat("zz", 32), "zeros": "v1=" + strings.Repeat("00", 32), "space": "v1= " + good} {
		u := upstream.Script(t, upstream.WithHeader(upstream.OK("body"), "X-Sig", value))
		r := newRig(t, u.URL(), quick(retryOff, func(s *Settings) {
			s.Sign = builtInSign(keep(t, key))
			s.Sign.VerifyResponse = &VerifyResponse{Secret: keep(t, key), Statuses: []string{"200"}, Header: "X-Sig", Prefix: "v1=", Encoding: "hex", Content: "{body}"}
		}))
		if a := r.call("GET", "/", ""); kindOf(a.err) != problem.BadUpstreamResponse {
			t.Errorf("%s: %v", name, a.err)
		}
	}
}
