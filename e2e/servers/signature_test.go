//go:build e2e

package servers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// trickyTargets are paths and queries of which signer and verifier may have different opinions.
var trickyTargets = []string{"/orders", "/", "/a%2Fb/%7Euser?q=1&b=2&a=1", "/x?", "/x?empty=&sp=%20a%2Bb", "/a;b=c/d,e?x=y%3Dz&x=a", "/~tilde/-._/UPPER?Z=1&a=2"}

const webhookKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// verifyingProvider is the provider of e2e/verify.
func verifyingProvider(t *testing.T) string {
	t.Helper()
	address := e2e.FreeAddr(t)
	serve(t, address, "env", "WEBHOOK_KEY="+webhookKey, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		program(t, "verify-signatures"), address)
	return "http://" + address
}

func TestTheOfficialLibraryOfStandardWebhooksBelievesUs(t *testing.T) {
	t.Parallel()
	url := verifyingProvider(t)
	both := "sign: { scheme: standard-webhooks, secret: env:NEW, previous: env:KEY, verify_response: { secret: env:KEY } }"
	s := e2e.Start(t, e2e.Setup{Env: []string{"KEY=" + webhookKey, "NEW=whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"},
		Adapters: e2e.Adapter("hooks", url+"/webhooks", "sign: { scheme: standard-webhooks, secret: env:KEY, verify_response: { secret: env:KEY } }") +
			e2e.Adapter("rotating", url+"/webhooks", both) +
			e2e.Adapter("stranger", url+"/webhooks", "sign: { scheme: standard-webhooks, secret: env:NEW }")})
	for _, name := range []string{"hooks", "rotating"} {
		for _, body := range []string{`{"paid":true}`, "", "\x00\xff.", strings.Repeat("long ", 20000)} {
			a := s.Post(t, "/"+name+"/paid", body)
			if a.WantStatus(t, 200); a.Body != body {
				t.Errorf("%s: the answer is %.40q, want %.40q", name, a.Body, body)
			}
		}
		s.Get(t, "/"+name+"/paid").WantStatus(t, 200)
	}
	s.Post(t, "/stranger/paid", "{}").WantStatus(t, 401)
	s.Get(t, "/hooks/tampered").WantProblem(t, 502, "bad-upstream-response")
	if p := s.Post(t, "/hooks/tampered", "{}").WantProblem(t, 502, "bad-upstream-response"); p.Retryable {
		t.Error("a write that was answered with a wrong signature is called retryable")
	}
}

func TestAmazonsOwnSignerSignsAsWeDo(t *testing.T) {
	t.Parallel()
	url := verifyingProvider(t)
	sign := "sign: { scheme: aws-sigv4, secret: env:SECRET, access_key_id: env:ID, region: eu-central-1, service: "
	s := e2e.Start(t, e2e.Setup{Env: []string{"ID=AKIDEXAMPLE", "SECRET=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "TOKEN=FwoGZXIvYXdzE/example+token=="},
		Adapters: e2e.Adapter("api", url+"/aws", sign+"execute-api }") + e2e.Adapter("s3", url+"/aws", sign+"s3, session_token: env:TOKEN }")})
	for _, name := range []string{"api", "s3"} {
		for _, target := range trickyTargets {
			s.Get(t, "/"+name+target).WantStatus(t, 200)
			s.Post(t, "/"+name+target, "the body", "Content-Type: text/plain; charset=utf-8", "X-Amz-Meta-Note:  two   spaces ", "X-Amz-Meta-Note: and a line").WantStatus(t, 200)
		}
	}
}

// keyFiles are a pair of Ed25519 keys in PEM.
func keyFiles(t *testing.T, dir, name string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	pkix, err := x509.MarshalPKIXPublicKey(pub)
	must(t, err)
	private, public = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".pub")
	must(t, os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	must(t, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}), 0o600))
	return private, public
}

func TestTheNpmLibraryOfMessageSignaturesBelievesUsAndWeBelieveIt(t *testing.T) {
	t.Parallel()
	modules, err := filepath.Abs(filepath.Join("..", ".cache", "verify", "node_modules"))
	must(t, err)
	if _, err := os.Stat(filepath.Join(modules, "http-message-signatures")); err != nil {
		t.Fatalf("%v; e2e/setup.sh installs what these tests need", err)
	}
	dir := t.TempDir()
	ours, oursPublic := keyFiles(t, dir, "ours")
	theirs, theirsPublic := keyFiles(t, dir, "theirs")
	shared := filepath.Join(dir, "shared")
	must(t, os.WriteFile(shared, []byte("a secret that both sides know"), 0o600))
	for algorithm, keys := range map[string][4]string{"ed25519": {ours, oursPublic, theirs, theirsPublic}, "hmac-sha256": {shared, shared, shared, shared}} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			address := e2e.FreeAddr(t)
			_, port, err := net.SplitHostPort(address)
			must(t, err)
			serve(t, address, "env", "NODE_PATH="+modules, program(t, "node"), filepath.Join("..", "verify", "provider.js"), port, algorithm, keys[1], keys[2])
			sign := "sign:\n  scheme: http-message-signatures\n  algorithm: " + algorithm + "\n  key_id: our-key\n  secret: file:" + keys[0] +
				"\n  components: [\"@method\", \"@target-uri\", \"@authority\", \"@scheme\", \"@path\", \"@query\", content-digest, content-type, content-length, host, x-two, authorization, x-idempotency-key]" +
				"\n  verify_response:\n    algorithm: " + algorithm + "\n    secret: file:" + keys[3] + "\n    components: [\"@status\", content-digest, content-type, \"@method;req\", \"@target-uri;req\"]"
			s := e2e.Start(t, e2e.Setup{Env: []string{"TOKEN=token"}, Adapters: e2e.Adapter("messages", "http://"+address, "auth: { bearer: env:TOKEN }", sign)})
			for _, target := range trickyTargets {
				s.Get(t, "/messages"+target, "X-Two: one", "X-Two: two").WantStatus(t, 200)
				if a := s.Post(t, "/messages"+target, "the body", "Content-Type: text/plain"); a.Status != 200 || a.Body != `{"you":"the body"}` {
					t.Errorf("POST %s: %d %s", target, a.Status, a.Body)
				}
			}
			s.Get(t, "/messages/tampered").WantProblem(t, 502, "bad-upstream-response")
			s.Get(t, "/messages/unsigned").WantProblem(t, 502, "bad-upstream-response")
			if p := s.Post(t, "/messages/unsigned", "{}").WantProblem(t, 502, "bad-upstream-response"); p.Retryable {
				t.Error("a write that was answered without a signature is called retryable")
			}
		})
	}
}
