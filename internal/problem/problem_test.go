package problem

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// The kinds and statuses of section 5 of the contract, the loop that its Via field makes possible, what can go wrong
// with accepted exchanges, with transformations, and with versions.
var contractStatus = map[Kind]int{
	"no-adapter": 404, "invalid-request": 400, "method-not-allowed": 405, "content-type-not-allowed": 415, "body-too-large": 413, "schema-violation": 422,
	"idempotency-key-required": 400, "idempotency-in-flight": 409, "outcome-unknown": 409, "idempotency-key-reused": 422, "rate-limited": 429, "circuit-open": 503,
	"credentials-unavailable": 503, "idempotency-store-unavailable": 503, "draining": 503, "upstream-unreachable": 502, "bad-upstream-response": 502,
	"upstream-timeout": 504, "total-timeout": 504, "internal": 500, "loop-detected": 508,
	"spool-unavailable": 503, "exchange-not-found": 404, "transform-failed": 422, "adapter-version-mismatch": 412,
}

func TestTheKindsAreTheContracts(t *testing.T) {
	if len(Kinds()) != len(contractStatus) {
		t.Errorf("%d kinds, the contract has %d", len(Kinds()), len(contractStatus))
	}
	for _, e := range Kinds() {
		if want, ok := contractStatus[e.Kind]; !ok || e.Status != want || New(e.Kind, "").Status() != want {
			t.Errorf("%s is %d, want %d", e.Kind, e.Status, want)
		}
		if !slices.Contains(ErrorTypes(), e.Type) || e.Title == "" || e.ProxyError == "" {
			t.Errorf("%+v lacks something", e)
		}
	}
	seen := map[ErrorType]bool{}
	for _, e := range ErrorTypes() {
		if e == TypeNone || seen[e] {
			t.Errorf("%q is listed twice, or is none", e)
		}
		seen[e] = true
	}
}

// full is a problem of a kind with everything that an answer can carry.
func full(k Kind) *Problem {
	p := New(k, "What went wrong, for \"developers\".")
	p.RetryAfter, p.Cause = 1500*time.Millisecond, errors.New("secret cause")
	switch k {
	case MethodNotAllowed:
		p.Allow = []string{"GET", "POST"}
	case SchemaViolation:
		p.Errors = []Violation{{"/orderId", "is missing"}, {"/lines/0/quantity", "is less than 1"}}
	case RateLimited:
		p.Fields = wire.Fields{{Name: "RateLimit-Limit", Value: "100"}}
	case UpstreamUnreachable:
		p.ProxyError = "dns_error"
	case UpstreamTimeout:
		p.Final = true
	}
	return p
}

func TestEveryKindIsRenderedAsItsGolden(t *testing.T) {
	x := Exchange{AdapterID: "erp-main", CorrelationID: "corr-1", Attempts: 3, LetterID: "018f0000-0000-7000-8000-000000000001"}
	for _, e := range Kinds() {
		resp := full(e.Kind).Render(x)
		var b strings.Builder
		fmt.Fprintf(&b, "%d\n", resp.Status)
		for _, f := range resp.Fields {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
		}
		fmt.Fprintf(&b, "\n%s\n", resp.Content)
		path := filepath.Join("testdata", string(e.Kind)+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s is rendered as\n%s\nwant\n%s", e.Kind, b.String(), want)
		}
	}
}

func TestEveryAnswerHasTheContractsFields(t *testing.T) {
	x := Exchange{AdapterID: "erp-main", CorrelationID: "corr-1", Attempts: 3, LetterID: "letter-1"}
	for _, e := range Kinds() {
		p := full(e.Kind)
		resp := p.Render(x)
		var doc map[string]any
		if err := json.Unmarshal(resp.Content, &doc); err != nil {
			t.Fatalf("%s: %v", e.Kind, err)
		}
		want := map[string]any{"type": "urn:integration-sidecar:problem:" + string(e.Kind), "title": e.Title, "status": float64(e.Status), "detail": p.Detail,
			"adapter_id": "erp-main", "correlation_id": "corr-1", "attempts": 3.0, "retryable": e.Retryable && !p.Final, "dead_letter_id": "letter-1"}
		for name, value := range want {
			if doc[name] != value {
				t.Errorf("%s: %s is %v, want %v", e.Kind, name, doc[name], value)
			}
		}
		if _, ok := doc["errors"]; ok != (e.Kind == SchemaViolation) {
			t.Errorf("%s: errors is %v", e.Kind, doc["errors"])
		}
		status := resp.Fields.Get("Proxy-Status")
		if resp.Fields.Get("Content-Type") != "application/problem+json" || !strings.HasPrefix(status, "integration-sidecar; error=") ||
			resp.Fields.Get("Cache-Control") != "no-store" || resp.Fields.Get("Retry-After") != "2" {
			t.Errorf("%s: fields %v", e.Kind, resp.Fields)
		}
		if strings.Contains(string(resp.Content), "secret cause") || !strings.Contains(p.Error(), "secret cause") || !errors.Is(p, p.Cause) {
			t.Errorf("%s: the cause belongs in the log and not in the answer", e.Kind)
		}
	}
}

func TestAnAnswerLeavesOutWhatIsNotKnown(t *testing.T) {
	resp := New(NoAdapter, "None.").Render(Exchange{})
	for _, name := range []string{"adapter_id", "correlation_id", "dead_letter_id", "errors"} {
		if strings.Contains(string(resp.Content), name) {
			t.Errorf("%s is in %s", name, resp.Content)
		}
	}
	if resp.Fields.Has("Retry-After") || resp.Fields.Has("Allow") {
		t.Errorf("fields %v", resp.Fields)
	}
}

func TestAKindThatIsNotInTheTableIsInternal(t *testing.T) {
	if p := New("surprise", ""); p.Status() != 500 || p.ErrorType() != TypeInternal || p.Retryable() || p.Render(Exchange{}).Status != 500 {
		t.Errorf("%+v", p)
	}
}

func TestSecondsRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, 90 * time.Second: 90, 365 * 24 * time.Hour: 31536000} {
		if got := Seconds(d); got != want {
			t.Errorf("%v is %d s, want %d", d, got, want)
		}
	}
}
