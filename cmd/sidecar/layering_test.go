package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/fsm-integrations/sidecar"

// layers are the packages from the bottom up: imports point down only. Those on one line know nothing of each other.
var layers = [][]string{
	{"internal/groupcommit/journal", "internal/groupcommit/pages", "internal/inject"},
	{"internal/egress", "internal/groupcommit", "internal/recent", "internal/seal", "internal/secret", "internal/shared", "internal/wire", "internal/units", "."},
	{"internal/problem", "internal/oauth", "internal/secret/vault", "internal/signature"},
	{"dlq", "internal/accepted", "internal/alert", "internal/idempotency", "internal/jsonbody", "internal/telemetry"},
	{"policy"},
	{"internal/config"},
	{"proxy"},
	{"internal/admin"},
	{"cmd/sidecar"},
}

// aside stand beside the layers: what each may import, and who may import it.
var aside = map[string]struct{ imports, importers []string }{
	"internal/simulator":             {imports: []string{"internal/wire"}, importers: []string{"cmd/sidecar"}},
	"internal/upstream":              {imports: []string{"internal/wire"}},
	"internal/idempotency/storetest": {imports: []string{"internal/idempotency", "internal/wire"}},
	"dlq/sinktest":                   {imports: []string{"dlq", "internal/problem"}},
	"bench":                          {},
	"e2e":                            {},
	"e2e/browser":                    {},
	"e2e/servers":                    {},
	"e2e/otelcol":                    {},
	"e2e/verify":                     {},
}

// reserved may be imported only by these, each a package or a single file.
var reserved = map[string][]string{
	"gopkg.in/yaml.v3":   {"internal/config", "internal/inject"},
	"net/http/httptrace": {"policy/engine.go"},

	"golang.org/x/oauth2":            {"internal/oauth"},
	"github.com/hashicorp/vault/api": {"internal/secret/vault"},
}

// graph is what each file that is not a test imports: path below the module's root → import paths.
type graph map[string][]string

// faults says what is wrong with the direction of imports.
func (g graph) faults() []string {
	var list []string
	for file, imports := range g {
		from := path.Dir(file)
		if rank(from) < 0 && !isAside(from) {
			list = append(list, from+" has no place among the layers")
			continue
		}
		for _, imported := range imports {
			if fault := judgeImport(file, from, imported); fault != "" {
				list = append(list, file+" imports "+imported+": "+fault)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func isAside(pkg string) bool {
	_, ok := aside[pkg]
	return ok
}

func rank(pkg string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, pkg) })
}

func judgeImport(file, from, imported string) string {
	if from == "policy" && file != "policy/engine.go" && (imported == "net/http" || strings.HasPrefix(imported, "net/http/")) {
		return "only policy/engine.go knows net/http"
	}
	if owners, ok := reserved[imported]; ok && !slices.Contains(owners, from) && !slices.Contains(owners, file) {
		return "it belongs to " + strings.Join(owners, ", ")
	}
	if imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") {
		return ""
	}
	to := strings.TrimPrefix(strings.TrimPrefix(imported, modulePath), "/")
	if to == "" {
		to = "."
	}
	switch {
	case isAside(to) && !slices.Contains(aside[to].importers, from):
		return "only tests may" + also(aside[to].importers)
	case isAside(from) && !slices.Contains(aside[from].imports, to):
		return from + " stands beside the layers"
	case !isAside(from) && !isAside(to) && (rank(to) < 0 || rank(to) >= rank(from)):
		return "imports point down"
	}
	return ""
}

func also(importers []string) string {
	if len(importers) == 0 {
		return ""
	}
	return " and " + strings.Join(importers, ", ")
}

// parseModule reads the imports of every file of the module that is not a test, under whatever build tags.
func parseModule(root string) (graph, error) {
	g := graph{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		base := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		g[rel] = []string{}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			g[rel] = append(g[rel], imported)
		}
		return nil
	})
	return g, err
}

func TestImportsPointOneWay(t *testing.T) {
	g, err := parseModule(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"cmd/sidecar/main.go", "policy/engine.go", "proxy/server.go", "internal/wire/wire.go"} {
		if _, ok := g[file]; !ok {
			t.Errorf("%s was not read", file)
		}
	}
	for _, fault := range g.faults() {
		t.Error(fault)
	}
}

func TestAnImportThatPointsUpIsFound(t *testing.T) {
	ours := func(pkg string) string { return strings.TrimSuffix(modulePath+"/"+pkg, "/") }
	for _, c := range []struct {
		file, imported string
		fault          bool
	}{
		{"cmd/sidecar/x.go", ours("policy"), false},
		{"cmd/sidecar/x.go", ours(""), false},
		{"cmd/sidecar/demo.go", ours("internal/simulator"), false},
		{"proxy/x.go", ours("policy"), false},
		{"proxy/x.go", "net/http", false},
		{"policy/engine.go", "net/http", false},
		{"policy/engine.go", "net/http/httptrace", false},
		{"internal/config/x.go", "gopkg.in/yaml.v3", false},
		{"internal/problem/x.go", ours("internal/wire"), false},
		{"internal/upstream/x.go", ours("internal/wire"), false},

		{"proxy/x.go", ours("internal/admin"), true},
		{"proxy/x.go", ours("cmd/sidecar"), true},
		{"policy/x.go", ours("proxy"), true},
		{"policy/x.go", ours("internal/config"), true},
		{"dlq/x.go", ours("policy"), true},
		{"dlq/x.go", ours("internal/idempotency"), true},
		{"internal/alert/x.go", ours("dlq"), true},
		{"internal/wire/x.go", ours("internal/problem"), true},
		{"internal/wire/x.go", ours(""), true},
		{"internal/secret/x.go", ours("internal/wire"), true},
		{"policy/x.go", "net/http", true},
		{"policy/x.go", "net/http/httputil", true},
		{"proxy/x.go", "net/http/httptrace", true},
		{"proxy/x.go", "gopkg.in/yaml.v3", true},
		{"cmd/sidecar/x.go", ours("internal/upstream"), true},
		{"proxy/x.go", ours("internal/simulator"), true},
		{"internal/idempotency/x.go", ours("internal/idempotency/storetest"), true},
		{"internal/simulator/x.go", ours("policy"), true},
		{"e2e/x.go", ours("dlq"), true},
		{"internal/unheard/x.go", "fmt", true},
		{"policy/x.go", ours("internal/unheard"), true},
	} {
		if got := (graph{c.file: {c.imported}}).faults(); (len(got) > 0) != c.fault {
			t.Errorf("%s imports %s: %v, want a fault: %v", c.file, c.imported, got, c.fault)
		}
	}
	if got := fmt.Sprint((graph{"policy/x.go": {ours("proxy"), "net/http"}}).faults()); strings.Count(got, "policy/x.go") != 2 {
		t.Errorf("two faults are told as %s", got)
	}
}
