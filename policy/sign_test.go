package policy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// keep writes a secret to a file and returns its reference.
func keep(t testing.TB, value []byte) secret.Ref {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, value, 0o600); err != nil {
		t.Fatal(err)
	}
	return secret.Ref("file:" + path)
}

func builtInSign(ref secret.Ref) *Sign {
	return &Sign{Scheme: "hmac-sha256", Secret: ref, Header: "X-Signature", Encoding: "hex", TimestampHeader: "X-Timestamp", IDHeader: "X-Request-ID", Content: "{body}"}
}

// signed runs an exchange through the signing stage and returns the fields of the attempts that passed it.
func signed(t *testing.T, s *Sign, x *Exchange, attempts int) []wire.Fields {
	t.Helper()
	stage, err := sign(s, testHost(t, "", testSettings()), secret.NewResolver())
	if err != nil {
		t.Fatal(err)
	}
	chain := play(t)
	for range attempts {
		chain.outcomes = append(chain.outcomes, answered(200))
		x.attempt = x.Request
		x.attempt.Fields = x.Request.Fields.Clone(4)
		if _, err := stage(chain.next)(x); err != nil {
			t.Fatal(err)
		}
	}
	var list []wire.Fields
	for _, r := range chain.sentAs {
		list = append(list, r.Fields)
	}
	return list
}

// The vectors of RFC 4231 section 4 that fit SHA-256, and GitHub's own example.
func TestSignaturesMatchPublishedVectors(t *testing.T) {
	long := bytes.Repeat([]byte{0xaa}, 131)
	for name, c := range map[string]struct {
		key          []byte
		body         string
		prefix, want string
	}{
		"RFC 4231 case 1": {bytes.Repeat([]byte{0x0b}, 20), "Hi There", "", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		"RFC 4231 case 2": {[]byte("Jefe"), "what do ya want for nothing?", "", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		"RFC 4231 case 3": {bytes.Repeat([]byte{0xaa}, 20), strings.Repeat("\xdd", 50), "", "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		"RFC 4231 case 6": {long, "Test Using Larger Than Block-Size Key - Hash Key First", "", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		"RFC 4231 case 7": {long, "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
			"", "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
		"GitHub webhook": {[]byte("It's a Secret to Everybody"), "Hello, World!", "sha256=", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
	} {
		t.Run(name, func(t *testing.T) {
			s := builtInSign(keep(t, c.key))
			s.Prefix = c.prefix
			if got := signed(t, s, testExchange(t, "POST", "/", c.body), 1)[0].Get("X-Signature"); got != c.prefix+c.want {
				t.Errorf("hex: %s", got)
			}
			s.Encoding = "base64"
			raw, _ := hex.DecodeString(c.want)
			if got := signed(t, s, testExchange(t, "POST", "/", c.body), 1)[0].Get("X-Signature"); got != c.prefix+base64.StdEncoding.EncodeToString(raw) {
				t.Errorf("base64: %s", got)
			}
		})
	}
}

func TestEveryPlaceIsSigned(t *testing.T) {
	s := builtInSign(keep(t, []byte("k")))
	s.Content = "{method} {path} {query} {key} {id} {header:X-A} {timestamp}|{body}"
	x := testExchange(t, "PUT", "/a%2Fb?q=1", "the body")
	x.Key.Value = "key-1"
	x.Request.Fields.Add("x-a", "field")
	f := signed(t, s, x, 1)[0]
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write([]byte("PUT /a%2Fb q=1 key-1 " + f.Get("X-Request-ID") + " field " + f.Get("X-Timestamp") + "|the body"))
	if got := f.Get("X-Signature"); got != hex.EncodeToString(mac.Sum(nil)) || f.Get("X-Request-ID") == "" || f.Get("X-Timestamp") == "" {
		t.Errorf("signed %v", f)
	}
}

// Both were signed as empty: the engine makes them, so they are in no list of fields.
func TestTheHostAndTheLengthThatAreSentAreSigned(t *testing.T) {
	s := builtInSign(keep(t, []byte("k")))
	s.Content = "{header:Host} {header:content-length}"
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write([]byte("erp.test 4"))
	if got := signed(t, s, testExchange(t, "POST", "/", "body"), 1)[0].Get("X-Signature"); got != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signed %s", got)
	}
}

func TestNoTimestampOrIdIsSentUnlessSigned(t *testing.T) {
	f := signed(t, builtInSign(keep(t, []byte("k"))), testExchange(t, "POST", "/", "x"), 1)[0]
	if f.Has("X-Timestamp") || f.Has("X-Request-ID") {
		t.Errorf("sent %v", f)
	}
}

func TestEveryAttemptHasItsOwnSignature(t *testing.T) {
	s := builtInSign(keep(t, []byte("k")))
	s.Content = "{timestamp}.{id}.{body}"
	x := testExchange(t, "POST", "/", "same")
	x.Request.Fields.Add("X-Signature", "the application's own")
	synctest.Test(t, func(t *testing.T) {
		seen, last := map[string]bool{}, int64(0)
		for i, f := range signed(t, s, x, 5) { // within the same second
			at, err := strconv.ParseInt(f.Get("X-Timestamp"), 10, 64)
			if err != nil || at <= last || i == 0 && at != time.Now().Unix() {
				t.Errorf("attempt %d is stamped %d after %d: %v", i+1, at, last, err)
			}
			if seen[f.Get("X-Signature")] || seen[f.Get("X-Request-ID")] {
				t.Errorf("attempt %d repeats a signature or an id", i+1)
			}
			last, seen[f.Get("X-Signature")], seen[f.Get("X-Request-ID")] = at, true, true
		}
	})
	if got := x.Request.Fields.Get("X-Signature"); got != "the application's own" {
		t.Errorf("the exchange's own request carries %s", got)
	}
}

func TestANewKeyIsUsedFromTheNextAttempt(t *testing.T) {
	stage, _ := sign(builtInSign("env:SIGN_TEST_{tenant}"), testHost(t, "", testSettings()), secret.NewResolver())
	t.Setenv("SIGN_TEST_a", "Jefe")
	t.Setenv("SIGN_TEST_b", "other")
	chain := play(t, answered(200), answered(200), answered(200))
	for _, tenant := range []string{"a", "b", "a"} {
		x := tenantCall(t, tenant)
		x.attempt.Body.Bytes = []byte("what do ya want for nothing?")
		if _, err := stage(chain.next)(x); err != nil {
			t.Fatal(err)
		}
	}
	const want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	for i, isWant := range []bool{true, false, true} {
		if got := chain.sentAs[i].Fields.Get("X-Signature"); (got == want) != isWant {
			t.Errorf("call %d is signed %s", i+1, got)
		}
	}
}

func TestWithoutItsKeyNothingIsSent(t *testing.T) {
	stage, _ := sign(builtInSign("env:SIGN_TEST_ABSENT"), testHost(t, "", testSettings()), secret.NewResolver())
	if _, err := stage(play(t).next)(testExchange(t, "POST", "/", "x")); kindOf(err) != problem.CredentialsUnavailable {
		t.Errorf("got %v", err)
	}
	if stage, err := sign(nil, testHost(t, "", testSettings()), nil); stage != nil || err != nil {
		t.Error("a signature that is off is a stage")
	}
	if _, err := sign(&Sign{Content: "{typo}"}, testHost(t, "", testSettings()), nil); err == nil {
		t.Error("a bad template compiled")
	}
}
