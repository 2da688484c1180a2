package simulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/simulator"
)

func mac(secret, content string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(content))
	return h.Sum(nil)
}

func signedWorld(t *testing.T, s simulator.Signature) (*caller, *simulator.System) {
	t.Helper()
	w := startWorld(t, simulator.Config{Systems: map[string]simulator.Setting{simulator.Sales: {Signature: s}}})
	return newCaller(t, w.System(simulator.Sales)), w.System(simulator.Sales)
}

func TestSignatureOverTheBody(t *testing.T) {
	c, s := signedWorld(t, simulator.Signature{Secret: "canary"})
	_, _, body := simulator.Sample(simulator.Sales, "A")
	good := hex.EncodeToString(mac("canary", body))
	c.send(201, "A", "X-Signature", good)
	c.send(401, "B", "X-Signature", good) // another body
	c.send(401, "A", "X-Signature", "no hex")
	c.send(401, "A")
	if n := s.Counts(); n.BadSignatures != 3 || n.SideEffects != 1 {
		t.Errorf("counts %+v", n)
	}
	if got := s.Signatures(); !slices.Equal(got, []string{good, good, "no hex", ""}) {
		t.Errorf("signatures %q", got)
	}
}

func TestSignatureOverEverything(t *testing.T) {
	c, s := signedWorld(t, simulator.Signature{Secret: "canary", Field: "X-Hub", Prefix: "v1=", Encoding: "base64",
		TimestampField: "X-Time", IDField: "X-ID", Content: "{id}.{timestamp}.{method} {path}?{query} {key} {header:X-Tenant-ID}.{body}"})
	_, path, body := simulator.Sample(simulator.Sales, "{id}") // a body that looks like a placeholder stays as it is
	sign := func(at time.Time) (int, string) {
		stamp := strconv.FormatInt(at.Unix(), 10)
		sum := mac("canary", "u1."+stamp+".POST "+path+"?a=%7e k1 t1."+body)
		return c.do(c.request("POST", path+"?a=%7e", body, "X-Hub", "v1="+base64.StdEncoding.EncodeToString(sum),
			"X-Time", stamp, "X-ID", "u1", "X-Tenant-ID", "t1", s.KeyField(), `"k1"`))
	}
	if got, text := sign(time.Now()); got != 201 {
		t.Errorf("%d %s", got, text)
	}
	if got, text := sign(time.Now().Add(-time.Hour)); got != 401 {
		t.Errorf("an old signature: %d %s", got, text)
	}
}

func TestSignatureIsJudgedUnderAFaultToo(t *testing.T) {
	c, s := signedWorld(t, simulator.Signature{Secret: "canary"})
	s.Next(simulator.Status(503))
	c.send(503, "A", "X-Signature", "bad")
	if r := s.Records()[0]; r.Signature != "bad" || r.SignatureFault == "" || s.Counts().BadSignatures != 1 {
		t.Errorf("record %+v", r)
	}
}
