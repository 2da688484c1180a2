package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var (
	observability = filepath.Join("..", "..", "k8s", "observability")
	runbooks      = filepath.Join("..", "..", "docs", "runbooks.md")
)

type rule struct {
	Record, Alert, Expr string
	For                 string
	Labels, Annotations map[string]string
}

func alertRules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(observability, "rules.yaml"))), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// prometheusRuleHead makes the rule file an object of the Prometheus operator.
const prometheusRuleHead = `# Written by go test ./cmd/sidecar -run TestThePrometheusRuleHoldsTheSameRules -update, from rules.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: integration-sidecar
  labels:
    app.kubernetes.io/name: integration-sidecar
spec:
`

func TestThePrometheusRuleHoldsTheSameRules(t *testing.T) {
	_, groups, found := strings.Cut(read(t, filepath.Join(observability, "rules.yaml")), "\ngroups:\n")
	if !found {
		t.Fatal("rules.yaml has no groups")
	}
	want := prometheusRuleHead + "  groups:\n" + regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(groups, "  $1")
	path := filepath.Join(observability, "prometheusrule.yaml")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != want {
		t.Error("prometheusrule.yaml is not rules.yaml; -update writes it")
	}
}

func TestEachAlertSaysWhatItIsAndWhatToDo(t *testing.T) {
	sections := runbookSections(t)
	tests := read(t, filepath.Join(observability, "rules_test.yaml")) + read(t, filepath.Join(observability, "rules_slow_test.yaml"))
	names := map[string]bool{"IntegrationLetters": true} // by the sidecar's own alerts only
	for _, r := range alertRules(t) {
		if r.Alert == "" {
			continue
		}
		names[r.Alert] = true
		if !slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if !strings.Contains(tests, `alertname="`+r.Alert+`"`) {
			t.Errorf("%s has no test", r.Alert)
		}
		for _, name := range []string{"summary", "description", "command"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/runbooks.md#"+strings.ToLower(r.Alert)) {
			t.Errorf("%s leads to %s", r.Alert, r.Annotations["runbook_url"])
		}
		tryCommand(t, r.Alert, strings.ReplaceAll(r.Annotations["command"], "{{ $labels.adapter_id }}", "ADAPTER"))
	}
	for name := range names {
		if _, ok := sections[name]; !ok {
			t.Errorf("the runbooks have no section %s", name)
		}
	}
	for name, commands := range sections {
		if !names[name] {
			t.Errorf("the runbooks have a section %s, and there is no such alert", name)
		}
		if len(commands) == 0 {
			t.Errorf("the section %s names no command", name)
		}
		for _, command := range commands {
			tryCommand(t, name, command)
		}
	}
}

// runbookSections are the commands of each section: indented lines that begin with the program's name.
func runbookSections(t *testing.T) map[string][]string {
	t.Helper()
	sections := map[string][]string{}
	for _, part := range strings.Split(read(t, runbooks), "\n## ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		sections[name] = nil
		for _, line := range regexp.MustCompile(`(?m)^ +sidecar .*$`).FindAllString(text, -1) {
			sections[name] = append(sections[name], strings.TrimSpace(line))
		}
	}
	return sections
}

// tryCommand asks the command for its help, which parses its flags first and runs nothing.
func tryCommand(t *testing.T, where, line string) {
	t.Helper()
	args := strings.Fields(line)
	if len(args) < 2 || args[0] != "sidecar" {
		t.Errorf("%s: %q is no command", where, line)
		return
	}
	root := newRootCommand(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }})
	found, rest, err := root.Find(args[1:])
	if err != nil || found == root || found.HasSubCommands() {
		t.Errorf("%s: %q is no command: %v", where, line, err)
		return
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Errorf("%s: %q: %v", where, line, err)
	}
}

// Rules, dashboard and documents speak of metrics that there are.
func TestOnlyMetricsThatExistAreSpokenOf(t *testing.T) {
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(integration_[a-z_]+)` \\| ([a-z]+)").FindAllStringSubmatch(read(t, metricsFile), -1) {
		documented[m[1]] = true
		if m[2] == "histogram" {
			documented[m[1]+"_bucket"], documented[m[1]+"_count"], documented[m[1]+"_sum"] = true, true, true
		}
	}
	for _, path := range []string{filepath.Join(observability, "rules.yaml"), filepath.Join(observability, "dashboard.json"), filepath.Join("..", "..", "README.md"),
		filepath.Join("..", "..", "docs", "drills", "slow-then-503.md"), runbooks} {
		named := regexp.MustCompile(`\bintegration_[a-z_]+\b`).FindAllString(read(t, path), -1)
		if len(named) == 0 && path != runbooks {
			t.Errorf("%s names no metric", path)
		}
		for _, name := range named {
			if !documented[name] {
				t.Errorf("%s speaks of %s, which docs/metrics.md does not know", path, name)
			}
		}
	}
}
