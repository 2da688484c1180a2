package config

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	sidecar "github.com/fsm-integrations/sidecar"
	"github.com/fsm-integrations/sidecar/policy"
)

// offered is the example as somebody makes it who takes every line of the "Other keys", without the marks.
func offered(t *testing.T) *node {
	t.Helper()
	_, keys, found := strings.Cut(string(sidecar.ExampleConfig), "# Other keys of any adapter")
	if !found {
		t.Fatal("the example has no such part")
	}
	text := "adapters:\n  a:\n    upstream: https://a.example.com\n"
	for _, line := range regexp.MustCompile(`(?m)^  #   (.*)$`).FindAllStringSubmatch(keys, -1) {
		text += "    " + line[1] + "\n"
	}
	parse(t, text)
	return read([]byte(text), &collector{}).get("adapters").get("a")
}

// TestExampleShowsEveryAvailableKey, each with its built-in value, so that nobody has to read the schema to know what
// there is.
func TestExampleShowsEveryAvailableKey(t *testing.T) {
	var walk func(n *node, fields []field, prefix string)
	walk = func(n *node, fields []field, prefix string) {
		for _, f := range fields {
			path, shown := join(prefix, f.key), n.get(f.key)
			switch {
			case slices.Equal(f.later, []string{"*"}), prefix == "auth", f.key == "delivery":
			case len(f.schemes) > 0 && !slices.Contains(f.schemes, "hmac-sha256"): // see TestExampleShowsEveryScheme
			case shown == nil:
				t.Errorf("the example does not show %s", path)
			case shapeOf(f.typ) == shapeBlock:
				inner := f.typ
				if inner.Kind().String() == "ptr" {
					inner = inner.Elem()
				}
				walk(shown, fieldsOf(inner), path)
			case f.builtin != "" && written(shown) != f.builtin:
				t.Errorf("the example shows %s as %s, not as the built-in %s", path, written(shown), f.builtin)
			}
		}
	}
	walk(offered(t), fieldsOf(settingsType), "")
	for _, key := range []string{"proxy", "admin", "probes", "allow_remote_admin", "drain", "service_name", "log_level", "log_format", "log_success_ratio", "otlp_endpoint", "sample_ratio", "dir", "max_bytes", "retention",
		"body", "id", "version", "upstream", "listen", "match", "method", "path", "bearer", "basic", "header"} {
		if !regexp.MustCompile(`(?m)(^|[ {#])` + key + `:`).MatchString(string(sidecar.ExampleConfig)) {
			t.Errorf("the example does not show %s", key)
		}
	}
}

// TestExampleShowsEveryScheme: the blocks beside that of the built-in scheme are valid as they stand, and together they
// show every key.
func TestExampleShowsEveryScheme(t *testing.T) {
	text, blocks := "adapters:\n", ""
	_, others, found := strings.Cut(string(sidecar.ExampleConfig), "# Standard Webhooks")
	others, _, ends := strings.Cut(others, "#   retry:")
	if !found || !ends {
		t.Fatal("the example has no such part")
	}
	for _, line := range regexp.MustCompile(`(?m)^  #   # (sign:|  .*)$`).FindAllStringSubmatch(others, -1) {
		if line[1] == "sign:" {
			text += "  a" + strconv.Itoa(strings.Count(text, "upstream")) + ":\n    upstream: https://a.example.com\n"
		}
		text, blocks = text+"    "+line[1]+"\n", blocks+line[1]+"\n"
	}
	parse(t, text)
	for _, block := range []reflect.Type{reflect.TypeFor[policy.Sign](), reflect.TypeFor[policy.VerifyResponse]()} {
		for _, f := range fieldsOf(block) {
			if len(f.schemes) > 0 && !slices.Contains(f.schemes, "hmac-sha256") && !strings.Contains(blocks, " "+f.key+": ") {
				t.Errorf("the example does not show %s", f.key)
			}
		}
	}
}

func written(n *node) string {
	if n.kind != sequence {
		return n.text
	}
	var items []string
	for _, i := range n.items {
		items = append(items, i.text)
	}
	return strings.Join(items, ",")
}

// TestExampleQuotesOn: YAML 1.1 takes a bare on for true.
func TestExampleQuotesOn(t *testing.T) {
	if at := regexp.MustCompile(`(?m)^.*[ {#]on:.*$`).Find(sidecar.ExampleConfig); at != nil {
		t.Errorf("%s", at)
	}
}
