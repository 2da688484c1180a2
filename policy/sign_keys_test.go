package policy

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func TestAKeyThatIsNoneFailsTheCallClosed(t *testing.T) {
	const canary = "canary-key-5a1f"
	old := webhooks(t, whsec)
	old.Previous = keep(t, []byte("whsec_"+canary+"!"))
	hex := builtInSign(keep(t, []byte(canary)))
	hex.SecretEncoding = "hex"
	id, token := amazon(t), amazon(t)
	id.AccessKeyID, token.SessionToken = keep(t, []byte(canary+"\x00")), keep(t, []byte(canary+"\nX: y"))
	theirs := webhooks(t, whsec)
	theirs.VerifyResponse = &VerifyResponse{Secret: keep(t, []byte("whpk_"+canary)), Statuses: []string{"2xx"}}
	public := webhooks(t, "whpk_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	for name, s := range map[string]*Sign{"webhooks": webhooks(t, "whsec_"+canary+"!"), "previous": old, "public": public, "ed25519": messages(t, signature.Ed25519, canary), "hex": hex,
		"access key id": id, "session token": token, "of responses": theirs} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, upstream.Script(t).URL(), quick(func(set *Settings) { set.Sign = s }))
			a := r.call("POST", "/", "x")
			why := r.host.NoCredentials()
			if kindOf(a.err) != problem.CredentialsUnavailable || len(a.x.Attempts) != 0 || a.x.Unknown {
				t.Fatalf("%v, unknown %v after %d attempts", a.err, a.x.Unknown, len(a.x.Attempts))
			}
			if text := fmt.Sprintf("%v %+v %s", a.err, a.err, why); strings.Contains(text, canary) || !strings.Contains(text, "cannot be used: ") && name != "public" {
				t.Errorf("said: %s", text)
			}
		})
	}
}

func TestEverySecretOfASignatureIsKnownAtLoad(t *testing.T) {
	c := Call{Sign: &Sign{Scheme: schemeAWS, Secret: "env:A", AccessKeyID: "env:B", SessionToken: "env:C", VerifyResponse: &VerifyResponse{Secret: "env:D", Previous: "env:E"}}}
	if got := fmt.Sprint(c.Secrets()); got != "[env:A env:B env:C env:D env:E]" {
		t.Error(got)
	}
	c.Sign = &Sign{Scheme: schemeWebhooks, Secret: "env:A", Previous: "env:B"}
	if got := fmt.Sprint(c.Secrets()); got != "[env:A env:B]" {
		t.Error(got)
	}
}

// FuzzSignStage signs whatever an application may send, in every scheme, with keys that must never be told.
func FuzzSignStage(f *testing.F) {
	f.Add("POST", "/a?b", "X-A", "v", []byte("x"), "{timestamp}.{body}")
	f.Add("GET", "//%zz?;", "Content-Digest", "sha-256=:AAAA:", []byte("x"), "{header:X-A}{path}{query}{id}{key}")
	const canary = "canary+key/5a1fAAAA"
	f.Setenv("SIGN_FUZZ", canary)
	schemes := []*Sign{{Scheme: schemeWebhooks, Secret: "env:SIGN_FUZZ", Previous: "env:SIGN_FUZZ"},
		{Scheme: schemeMessage, Secret: "env:SIGN_FUZZ", Algorithm: "hmac-sha256", Label: "sig1", Components: everything, Nonce: true},
		{Scheme: schemeMessage, Secret: "env:SIGN_FUZZ", Algorithm: "ed25519", Label: "sig1", Components: everything},
		{Scheme: schemeAWS, Secret: "env:SIGN_FUZZ", AccessKeyID: "file:/dev/null/none", Region: "r", Service: "s3"}}
	h := testHost(f, "", testSettings())
	f.Fuzz(func(t *testing.T, method, target, name, value string, body []byte, content string) {
		plain := builtInSign("env:SIGN_FUZZ")
		plain.Content = content
		for _, s := range append(schemes, plain) {
			stage, err := sign(s, h, secret.NewResolver())
			if err != nil {
				continue
			}
			x := testExchange(t, method, target, string(body))
			x.Request.Fields.Add(name, value)
			x.attempt = x.Request
			_, err = stage(func(x *Exchange) (*wire.Response, error) { return nil, nil })(x)
			said := fmt.Sprintf("%v %+v %v", err, err, x.attempt.Fields)
			if strings.Contains(said, "canary") && !strings.Contains(name+value, "canary") {
				t.Errorf("%s tells its key: %s", s.Scheme, said)
			}
		}
	})
}
