package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allowed are the licences that ask for nothing but their text, which docs/licenses.md holds and the image carries, and
// MPL-2.0, which also asks that recipients be told where the source of its files is: as long as they are linked unchanged,
// that is the module itself.
var allowed = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "MPL-2.0"}

// linked are the modules of the binary that is released, as path and version.
func linked(t *testing.T) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-mod=readonly -tags=grpcnotrace")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.FieldsFunc(string(out), func(c rune) bool { return c == '\n' })
	slices.Sort(modules)
	return slices.Compact(modules)
}

func TestTheLicencesOfEveryModuleAreListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "licenses.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\S+) \| (v\d\S*) \| (\S+) \|$`).FindAllStringSubmatch(string(text), -1)
	modules := linked(t)
	if len(rows) < len(modules) || len(modules) < 20 {
		t.Errorf("%d rows for %d modules", len(rows), len(modules))
	}
	of := func(row []string) func(string) bool {
		return func(module string) bool {
			path, version, _ := strings.Cut(module, " ")
			return version == row[2] && (row[1] == path || strings.HasPrefix(row[1], path+"/"))
		}
	}
	for _, module := range modules {
		if !slices.ContainsFunc(rows, func(row []string) bool { return of(row)(module) }) {
			t.Errorf("docs/licenses.md does not have %s; make licenses writes it", module)
		}
	}
	for _, row := range rows {
		if !slices.ContainsFunc(modules, of(row)) {
			t.Errorf("docs/licenses.md has %s %s, which is not in the binary; make licenses writes it", row[1], row[2])
		}
		if !slices.Contains(allowed, row[3]) {
			t.Errorf("%s is under %s; somebody has to decide whether that may be linked", row[1], row[3])
		}
		if !strings.Contains(string(text), "\n## "+row[1]+" "+row[2]+"\n") {
			t.Errorf("the text of the licence of %s is missing", row[1])
		}
	}
}
