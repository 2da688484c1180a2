package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

func mac(secret, content string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(content))
	return h.Sum(nil)
}

func TestEveryAttemptCarriesTheSameKeyAndAFreshSignature(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Drop, Status(503), OK("done"))
	s := Start(t, Setup{Env: []string{"HMAC=hmac-secret"}, Adapters: Adapter("sales", up.URL, honoured,
		"retry: { max_retries: 3, initial_delay: 1100ms, max_delay: 1100ms, multiplier: 1, jitter_factor: 0 }", // so that the clock of signatures moves
		`sign: { secret: env:HMAC, header: X-Sig, prefix: "v1=", timestamp_header: X-Time, content: "{timestamp}.{key}.{method}.{path}.{query}.{body}" }`)})
	s.Post(t, "/sales/orders?x=1", `{"order":1}`, "X-Idempotency-Key: order-1").WantStatus(t, 200)
	seen := map[string]bool{}
	for i, h := range up.WantCount(t, 3) {
		if key := h.Header.Get("X-Idempotency-Key"); key != "order-1" {
			t.Errorf("attempt %d carried the key %q, want order-1", i+1, key)
		}
		want := "v1=" + hex.EncodeToString(mac("hmac-secret", h.Header.Get("X-Time")+`.order-1.POST./orders.x=1.{"order":1}`))
		got := h.Header.Get("X-Sig")
		if got != want {
			t.Errorf("attempt %d: signature %q is not valid, want %q", i+1, got, want)
		}
		if seen[got] {
			t.Errorf("attempt %d repeats the signature of an earlier one", i+1)
		}
		seen[got] = true
		if h.Body != `{"order":1}` {
			t.Errorf("attempt %d carried the body %q", i+1, h.Body)
		}
	}
}

func TestFreshIDMakesEverySignatureDifferent(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), OK("done"))
	s := Start(t, Setup{Env: []string{"HMAC=hmac-secret"}, Adapters: Adapter("sales", up.URL,
		`sign: { secret: env:HMAC, content: "{id}.{body}" }`)})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	hits := up.WantCount(t, 2)
	first, second := hits[0].Header.Get("X-Signature"), hits[1].Header.Get("X-Signature")
	if len(first) != 64 || len(second) != 64 || first == second {
		t.Errorf("signatures %q and %q, want two different HMAC-SHA256 in hex", first, second)
	}
}

func TestSignatureOfTheBodyIsPlainHMAC(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("done"))
	s := Start(t, Setup{Env: []string{"HMAC=It's a Secret to Everybody"}, Adapters: Adapter("hook", up.URL,
		`sign: { secret: env:HMAC, header: X-Hub-Signature-256, prefix: "sha256=" }`) +
		Adapter("b64", up.URL, `sign: { secret: env:HMAC, encoding: base64 }`)})
	s.Post(t, "/hook/a", "Hello, World!", "X-Hub-Signature-256: forged").WantStatus(t, 200)
	const published = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" // docs.github.com, Validating webhook deliveries
	if got := up.Last(t).Header.Values("X-Hub-Signature-256"); len(got) != 1 || got[0] != published {
		t.Errorf("signature %q, want only %q", got, published)
	}
	s.Post(t, "/b64/a", "x").WantStatus(t, 200)
	if got, want := up.Last(t).Header.Get("X-Signature"), base64.StdEncoding.EncodeToString(mac("It's a Secret to Everybody", "x")); got != want {
		t.Errorf("base64 signature %q, want %q", got, want)
	}
}
