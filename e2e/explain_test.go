package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const explained = `defaults:
  timeout: { attempt: 2s, total: 60s }
adapters:
  sales:
    id: sales-pyxis
    version: 2.1.0
    upstream: https://sales.example/base
    retry: { max_retries: 3, initial_delay: 1s, multiplier: 2, jitter_factor: 0 }
    operations:
      - match: { method: POST, path: "/orders/{id}/intake" }
        idempotency: { honoured: true }
        retry: { max_retries: 4 }
`

func explain(t *testing.T, args ...string) Result {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(explained), 0o600))
	return Run(t, dir, nil, append([]string{"explain", "--config", "c.yaml"}, args...)...)
}

func TestExplainSaysWhatWouldHappen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, url string
		words       []string // regular expressions
	}{
		"a read": {"GET", "http://127.0.0.1:8080/sales/orders/7?x=1",
			[]string{"sales-pyxis", `\b4\b.*attempt|attempts?\b.*\b4\b`, `15s`, `c\.yaml:8`, `c\.yaml:2`, `built-in`, `(?i)retr`}},
		"a write that is not honoured": {"POST", "/sales/other", []string{`\b1\b.*attempt|attempts?\b.*\b[14]\b`, `(?i)honour`, "POST"}},
		"an operation": {"POST", "/sales/orders/7/intake",
			[]string{`/orders/\{id\}/intake`, `\b5\b.*attempt|attempts?\b.*\b5\b`, `25s`, `c\.yaml:11`, `c\.yaml:12`, `(?i)honour`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := explain(t, c.method, c.url)
			if r.Code != 0 {
				t.Fatalf("code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			for _, w := range c.words {
				if !regexp.MustCompile(w).MatchString(r.Stdout) {
					t.Errorf("explain does not say %s:\n%s", w, r.Stdout)
				}
			}
		})
	}
	if r := explain(t, "GET", "/unknown/x"); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "no adapter") {
		t.Errorf("explain of a call that nothing matches: code %d, want 1 and the reason:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	nobody := FreeAddr(t)
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"version"}, 0}, {[]string{"--help"}, 0}, {[]string{"run", "--help"}, 0},
		{[]string{"run", "--config", "missing.yaml"}, 1}, {[]string{"validate", "--config", "missing.yaml"}, 1},
		{[]string{"nonsense"}, 2}, {[]string{"run"}, 2}, {[]string{"run", "--nonsense"}, 2}, {[]string{"validate"}, 2}, {[]string{"dlq"}, 2},
		{[]string{"dlq", "show"}, 2}, {[]string{"dlq", "list", "-o", "xml"}, 2}, {[]string{"breaker", "open"}, 2}, {[]string{"explain", "GET"}, 2},
		{[]string{"status", "--admin", nobody}, 3}, {[]string{"dlq", "list", "--admin", nobody}, 3}, {[]string{"breaker", "open", "x", "--admin", nobody}, 3},
	} {
		r := Run(t, t.TempDir(), nil, c.args...)
		if r.Code != c.code {
			t.Errorf("sidecar %s ends with code %d, want %d:\n%s%s", strings.Join(c.args, " "), r.Code, c.code, r.Stdout, r.Stderr)
		}
		if c.code != 0 && r.Stderr == "" {
			t.Errorf("sidecar %s ends with code %d without a word on stderr", strings.Join(c.args, " "), r.Code)
		}
		wantNoPanic(t, r.Stdout+r.Stderr)
	}
	if r := Run(t, t.TempDir(), nil, "version"); !regexp.MustCompile(`go1\.\d+`).MatchString(r.Stdout) {
		t.Errorf("version does not name the Go version: %q", r.Stdout)
	}
}

func TestStatusShowsTheWhole(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "rate_limit: { capacity: 7, refill_rate: 1 }") + Adapter("erp", up.URL)})
	s.Post(t, "/sales/a", "{}")
	table := s.MustCommand(t, "status").Stdout
	if !containsAll(strings.ToLower(table), "sales", "erp", "closed", "loaded", "ready") {
		t.Errorf("status shows neither adapters, breakers, last reload nor readiness:\n%s", table)
	}
	if found := s.MustCommand(t, "status", "--admin", s.Admin).Stdout; found == "" {
		t.Errorf("status --admin prints nothing")
	}
	var status struct {
		Ready    bool
		Adapters []struct{ Name string }
		Spool    struct{ Letters map[string]int }
	}
	out := s.MustCommand(t, "status", "-o", "json").Stdout
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("status -o json is no JSON: %v: %q", err, out)
	}
	if !status.Ready || len(status.Adapters) != 2 || status.Spool.Letters["dead"] != 1 {
		t.Errorf("status %+v, want ready, two adapters and one dead letter", status)
	}
}
