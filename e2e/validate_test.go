package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// validate writes text to a file and validates it.
func validate(t *testing.T, text string) Result {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte(text), 0o600))
	return Run(t, dir, nil, "validate", "--config", "bad.yaml")
}

// A comment "# !" marks each line that must be reported, with words its message must hold.
const faulty = `listen:
  proxy: 127.0.0.1:8080
  admin: 0.0.0.0:9901                      # ! listen.admin loopback
telemetry: { log_level: loud }             # ! telemetry.log_level debug
dlq:
  max_byte: 1GiB                           # ! max_bytes
  retention: 30                            # ! dlq.retention unit
adapters:
  one:
    upstream: https://one.example
    listen: 127.0.0.1:9101
    retry: { max_retries: many }           # ! adapters.one.retry.max_retries
    breaker: { failure_threshold: -1 }     # ! adapters.one.breaker.failure_threshold
    auth: { bearer: hunter2 }              # ! adapters.one.auth.bearer secret
  two:
    upstream: http://127.0.0.1:8080        # ! adapters.two.upstream sidecar
    listen: 127.0.0.1:9101                 # ! adapters.two.listen 9101
    timeout: { total: 10m }
    idempotency:
      lease: 5m                            # ! adapters.two.idempotency.lease total
    retry:
      methods: [GET, POST]                 # ! adapters.two.retry.methods POST
  three:                                   # ! adapters.three.upstream
    retry: { initial_delay: 1h, max_delay: 1s } # ! adapters.three.retry
  four:
    upstream: ftp://four.example           # ! adapters.four.upstream http
    version: two                           # ! adapters.four.version
    rate_limit: { capacity: 0 }            # ! adapters.four.rate_limit.capacity
    validate: { methods: [TRACE] }         # ! adapters.four.validate.methods
    operations:
      - match: { methd: POST, path: /a }   # ! method
`

func TestEveryFaultIsListedWithItsPlace(t *testing.T) {
	t.Parallel()
	r := validate(t, faulty)
	if r.Code != 1 {
		t.Errorf("exit code %d, want 1", r.Code)
	}
	byLine := map[int]string{}
	for _, m := range regexp.MustCompile(`(?m)^bad\.yaml:(\d+):(\d+): (.*)$`).FindAllStringSubmatch(r.Stdout+r.Stderr, -1) {
		n, err := strconv.Atoi(m[1])
		must(t, err)
		byLine[n] += m[3] + "\n"
	}
	n := 0
	for line := range strings.Lines(faulty) {
		n++
		_, words, marked := strings.Cut(line, "# ! ")
		switch {
		case marked && byLine[n] == "":
			t.Errorf("line %d is not reported: %s", n, line)
		case marked && !containsAll(byLine[n], strings.Fields(words)...):
			t.Errorf("line %d is reported as %q, want the words %s", n, byLine[n], words)
		case !marked && byLine[n] != "" && !strings.Contains(byLine[n], "warning"):
			t.Errorf("line %d is reported as %q, without being wrong", n, byLine[n])
		}
	}
	if strings.Contains(r.Stdout+r.Stderr, "hunter2") {
		t.Errorf("the report repeats a literal secret")
	}
	if t.Failed() {
		t.Logf("the whole report:\n%s%s", r.Stdout, r.Stderr)
	}
}

func TestFaultsOfTheDocumentAsAWhole(t *testing.T) {
	t.Parallel()
	const good = "adapters:\n  one:\n    upstream: https://one.example\n"
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"syntax":          {"adapters: [\n", 0},
		"tab":             {"adapters:\n\tone: {}\n", 2},
		"duplicate key":   {good + "    upstream: https://two.example\n", 4},
		"duplicate block": {good + "adapters: {}\n", 4},
		"second document": {good + "---\n" + good, 0},
		"unknown section": {good + "adaptors: {}\n", 4},
		"no adapters":     {"listen: { proxy: 127.0.0.1:8080 }\n", 0},
		"empty":           {"", 0},
		"a list":          {"- a\n- b\n", 1},
		"bad name":        {"adapters:\n  One_Two:\n    upstream: https://one.example\n", 2},
		"wrong kind":      {"adapters:\n  one: https://one.example\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := validate(t, c.text)
			out := r.Stdout + r.Stderr
			want := `bad\.yaml:\d+:\d+: `
			if c.line > 0 {
				want = `bad\.yaml:` + strconv.Itoa(c.line) + `:\d+: `
			}
			if name == "empty" {
				want = `bad\.yaml: |` + want
			}
			if r.Code != 1 || !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("code %d, want 1 and a line that matches %s:\n%s", r.Code, want, out)
			}
			wantNoPanic(t, out)
		})
	}
}

func wantNoPanic(t *testing.T, out string) {
	t.Helper()
	if strings.Contains(out, "goroutine ") || strings.Contains(out, "panic:") {
		t.Errorf("the program broke down:\n%s", out)
	}
}

func TestExampleConfigurationIsValid(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("../config.example.yaml")
	must(t, err)
	r := Run(t, t.TempDir(), nil, "validate", "--config", file)
	if r.Code != 0 {
		t.Fatalf("config.example.yaml is not valid:\n%s%s", r.Stdout, r.Stderr)
	}
	for _, adapter := range []string{"sales-system", "erp-system", "e-signature", "sms-gateway", "email-gateway"} {
		r := Run(t, t.TempDir(), nil, "explain", "--config", file, "GET", "http://127.0.0.1:8080/"+adapter+"/x")
		if r.Code != 0 || !strings.Contains(r.Stdout, adapter) {
			t.Errorf("explain of %s: code %d\n%s%s", adapter, r.Code, r.Stdout, r.Stderr)
		}
	}
}

func TestDoubtfulIsAWarning(t *testing.T) {
	t.Parallel()
	r := validate(t, "adapters:\n  one:\n    upstream: https://one.example\n    timeout: { attempt: 30s, total: 31s }\n")
	if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "warning") {
		t.Errorf("code %d, want 0 and a warning that the attempts do not fit the total timeout:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
