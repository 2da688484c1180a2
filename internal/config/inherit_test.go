package config

import (
	"strings"
	"testing"
)

const minimal = "adapters:\n  sales-system: { upstream: https://sales.example.com }\n"

func parse(t *testing.T, text string) *Document {
	t.Helper()
	doc, err := Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestAMinimalDocumentHasNoWarnings(t *testing.T) {
	doc := parse(t, minimal)
	if len(doc.Warnings) > 0 {
		t.Errorf("got %v", doc.Warnings)
	}
	a := doc.Adapters[0]
	if a.ID != "sales-system" || a.Version != "0.0.0" || a.Upstream.Host != "sales.example.com" || a.Listen != "" {
		t.Errorf("got %+v", a)
	}
	if doc.Drain.String() != "25s" || doc.Listen.Proxy != "127.0.0.1:8080" || doc.Listen.Admin != "127.0.0.1:9901" || doc.Listen.Probes != ":9902" {
		t.Errorf("got %+v, drain %v", doc.Listen, doc.Drain)
	}
	if doc.Redis != nil || doc.Vault != nil || doc.DLQ.Dir != "/var/lib/sidecar/dlq" || doc.DLQ.MaxBytes.String() != "1GiB" || doc.DLQ.Retention.String() != "720h" {
		t.Errorf("got %+v", doc.DLQ)
	}
}

// TestInheritance puts layers over each other: defaults, the adapter, its one operation.
func TestInheritance(t *testing.T) {
	tests := []struct {
		name                         string
		defaults, adapter, operation string
		path                         string
		ofAdapter, ofOperation       string // value @ line, "built-in" for no line
	}{
		{"built-in", "", "", "", "retry.max_retries", "3 @ built-in", "3 @ built-in"},
		{"defaults", "retry: {max_retries: 1}", "", "", "retry.max_retries", "1 @ 2", "1 @ 2"},
		{"adapter over defaults", "retry: {max_retries: 1}", "retry: {max_retries: 2}", "", "retry.max_retries", "2 @ 6", "2 @ 6"},
		{"operation over adapter", "retry: {max_retries: 1}", "retry: {max_retries: 2}", "retry: {max_retries: 4}", "retry.max_retries", "2 @ 6", "4 @ 9"},
		{"field by field", "retry: {max_retries: 1}", "retry: {multiplier: 3}", "", "retry.max_retries", "1 @ 2", "1 @ 2"},
		{"lists are replaced", "retry: {on: [network, 429]}", "retry: {on: [timeout]}", "retry: {on: []}", "retry.on", "[timeout] @ 6", "[] @ 9"},
		{"scalars outside of policies", "max_body: 2MiB", "", "max_body: 3MiB", "max_body", "2MiB @ 2", "3MiB @ 9"},
		{"a policy that is off by itself", "", "", "", "rate_limit", "off @ built-in", "off @ built-in"},
		{"an empty block switches it on", "", "rate_limit: {}", "", "rate_limit.capacity", "100 @ built-in", "100 @ built-in"},
		{"off in defaults", "retry: off", "", "", "retry", "off @ 2", "off @ 2"},
		{"off in the operation", "", "retry: {max_retries: 2}", "retry: off", "retry", "(a block)", "off @ 9"},
		{"a block over off starts from built-in", "retry: {max_retries: 1}", "retry: off", "retry: {multiplier: 3}", "retry.max_retries", "(none)", "3 @ built-in"},
		{"credentials are replaced whole", "auth: {bearer: env:A}", "auth: {header: {name: X-Key, value: env:B}}", "", "auth.bearer", "(none)", "(none)"},
		{"the credentials that replace", "auth: {bearer: env:A}", "auth: {header: {name: X-Key, value: env:B}}", "", "auth.header.value", "env:B @ 6", "env:B @ 6"},
		{"the operation needs not repeat what is required", "", "sign: {secret: env:S}", "sign: {header: X-Sig}", "sign.secret", "env:S @ 6", "env:S @ 6"},
		{"a host setting of the adapter", "breaker: {failure_threshold: 7}", "breaker: {success_threshold: 1}", "", "breaker.failure_threshold", "7 @ 2", "7 @ 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, strings.Join([]string{
				"defaults:", "  " + or(tt.defaults, "{}"),
				"adapters:", "  a:", "    upstream: https://a.example.com", "    " + tt.adapter,
				"    operations:", "      - match: {path: /x, method: POST}", "        " + tt.operation,
			}, "\n"))
			if got := value(doc, "", tt.path); got != tt.ofAdapter {
				t.Errorf("adapter: got %s, want %s", got, tt.ofAdapter)
			}
			if got := value(doc, "POST /x", tt.path); got != tt.ofOperation {
				t.Errorf("operation: got %s, want %s", got, tt.ofOperation)
			}
		})
	}
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// value is what Effective says of a path: value @ line.
func value(doc *Document, operation, path string) string {
	inside := false
	for _, s := range doc.Effective("a", operation) {
		if s.Path == path {
			return s.Value + " @ " + strings.TrimPrefix(s.Origin, "c.yaml:")
		}
		inside = inside || strings.HasPrefix(s.Path, path+".")
	}
	if inside {
		return "(a block)"
	}
	return "(none)"
}

func TestEffectiveListsEveryPolicyInOrder(t *testing.T) {
	rows := parse(t, minimal).Effective("sales-system", "")
	var tops []string
	for _, r := range rows {
		if top, _, _ := strings.Cut(r.Path, "."); len(tops) == 0 || tops[len(tops)-1] != top {
			tops = append(tops, top)
		}
	}
	if got, want := list(tops), list(keysOf(settingsType)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if parse(t, minimal).Effective("nobody", "") != nil || parse(t, minimal).Effective("sales-system", "GET /") != nil {
		t.Error("something is said of what does not exist")
	}
}

func TestKeysOfAnotherSchemeAreNotEffective(t *testing.T) {
	doc := parse(t, "adapters:\n  a:\n    upstream: https://a.example.com\n    sign: { scheme: standard-webhooks, secret: env:A, verify_response: { secret: env:B } }\n")
	for path, want := range map[string]string{"sign.scheme": "standard-webhooks @ 4", "sign.content": "(none)", "sign.region": "(none)",
		"sign.verify_response.scheme": "standard-webhooks @ built-in", "sign.verify_response.content": "(none)", "sign.verify_response.tolerance": "5m @ built-in"} {
		if got := value(doc, "", path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestOriginOfValuesInsideOffIsTheOff(t *testing.T) {
	doc := parse(t, minimal+"defaults:\n  retry: off\n")
	if got := doc.Origin("sales-system", "", "retry.max_retries"); got != "c.yaml:4" {
		t.Errorf("got %s", got)
	}
	if got := doc.Origin("nobody", "", "retry"); got != BuiltIn {
		t.Errorf("got %s", got)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	doc := parse(t, `
adapters:
  a:
    upstream: https://a.example.com
    retry: &careful { max_retries: 1, multiplier: 3 }
  b:
    upstream: https://b.example.com
    retry: *careful
  c:
    upstream: https://c.example.com
    retry: { <<: *careful, max_retries: 2 }
`)
	b, c := doc.Adapters[1].Settings.Retry, doc.Adapters[2].Settings.Retry
	if b.MaxRetries != 1 || b.Multiplier != 3 || c.MaxRetries != 2 || c.Multiplier != 3 {
		t.Errorf("got %+v, %+v", b, c)
	}
}

func TestAdaptersAndOperationsKeepTheOrderOfTheFile(t *testing.T) {
	doc := parse(t, `
adapters:
  z: { upstream: https://z.example.com, operations: [{match: {path: /b}}, {match: {method: GET, path: "/a/{id}"}}] }
  a: { upstream: https://a.example.com/base }
`)
	if doc.Adapters[0].Name != "z" || doc.Adapters[1].Name != "a" {
		t.Errorf("got %s, %s", doc.Adapters[0].Name, doc.Adapters[1].Name)
	}
	ops := doc.Adapters[0].Operations
	if ops[0].Name != "* /b" || ops[0].Method != "" || ops[1].Name != "GET /a/{id}" || ops[1].Path != "/a/{id}" {
		t.Errorf("got %+v, %+v", ops[0], ops[1])
	}
}

// TestACombinationIsNotBlamedOnABadValue: the lease is unreadable, so it cannot be called too short.
func TestACombinationIsNotBlamedOnABadValue(t *testing.T) {
	_, err := Parse("c.yaml", []byte(minimal+"defaults:\n  timeout: { total: 10m }\n  idempotency: { lease: 20 }\n"))
	if got := err.Error(); strings.Contains(got, "longer") || strings.Count(got, "\n") > 0 {
		t.Errorf("got\n%s", got)
	}
}

func TestAFaultInDefaultsIsReportedOnce(t *testing.T) {
	_, err := Parse("c.yaml", []byte("defaults:\n  retry: { max_retries: many }\nadapters:\n  a: { upstream: https://a.example.com }\n  b: { upstream: https://b.example.com }\n"))
	if got, want := err.Error(), "c.yaml:2:25: defaults.retry.max_retries: is text; expected a whole number"; got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestRemoteAdminCanBeAllowed(t *testing.T) {
	parse(t, minimal+"listen: { admin: \":9901\", allow_remote_admin: true, admin_token: file:/run/secrets/admin }\n")
	parse(t, minimal+"listen: { admin: unix:/run/sidecar/admin.sock }\n")
}
