package config

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// findings is everything said about a document, as validate prints it.
func findings(file string, data []byte) string {
	doc, err := Parse(file, data)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range doc.Warnings {
		b.WriteString("warning: " + w.Error() + "\n")
	}
	return b.String()
}

func TestBadDocuments(t *testing.T) {
	for _, path := range badFiles(t) {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := findings(name, data)
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if got == "" {
				t.Error("nothing is wrong with it")
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a literal secret is printed")
			}
		})
	}
}

func badFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no documents", err)
	}
	return files
}

// TestEveryFaultHasADocument reads the sources for the texts of faults and looks for each in the goldens, so that a new
// fault cannot come without a document that shows it.
func TestEveryFaultHasADocument(t *testing.T) {
	var said strings.Builder
	for _, path := range badFiles(t) {
		golden, err := os.ReadFile(strings.TrimSuffix(path, ".yaml") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		said.Write(golden)
	}
	said.WriteString(findings("large.yaml", make([]byte, maxFile+1)))
	_, err := Load("testdata/absent.yaml")
	said.WriteString(err.Error())
	texts := append(faultTexts(t, "*.go"), append(faultTexts(t, "../units/*.go"), reportTexts(t, "../../policy/*.go")...)...)
	if len(texts) < 60 {
		t.Fatalf("only %d texts found in the sources; the search is broken", len(texts))
	}
	for _, text := range texts {
		if !strings.Contains(said.String(), text) {
			t.Errorf("no document in testdata/bad shows the fault %q", text)
		}
	}
}

// verbs begin every fault: the path before it is the subject of the sentence.
var verbs = regexp.MustCompile(`^ ?(is|are|has|holds|must|belongs|carries|begins|would|listens|merges|grows|does|refers|could|cannot)\b.`)

// faultTexts are the string literals of the sources that read like a fault.
func faultTexts(t *testing.T, pattern string) (texts []string) {
	inspect(t, pattern, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			return false // tags
		case *ast.BasicLit:
			if text := literal(n); verbs.MatchString(text) {
				texts = append(texts, fixed(text))
			}
		}
		return true
	})
	return texts
}

// reportTexts are the string literals in the messages given to a policy.Report.
func reportTexts(t *testing.T, pattern string) (texts []string) {
	inspect(t, pattern, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Fault" || sel.Sel.Name == "Warn") {
			ast.Inspect(call.Args[1], func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					texts = append(texts, fixed(literal(lit)))
				}
				return true
			})
		}
		return true
	})
	return texts
}

func inspect(t *testing.T, pattern string, visit func(ast.Node) bool) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.DeleteFunc(files, func(p string) bool { return strings.HasSuffix(p, "_test.go") }) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, visit)
	}
}

func literal(l *ast.BasicLit) string {
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return text
}

// fixed is the longest part of a format that every message made from it holds.
func fixed(format string) string {
	parts := regexp.MustCompile(`%[-+.0-9]*[a-z]`).Split(format, -1)
	return slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) })
}

func TestAnUnreadableFileIsAFault(t *testing.T) {
	_, err := Load("testdata/absent.yaml")
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || !strings.HasPrefix(err.Error(), "testdata/absent.yaml: cannot be read: ") {
		t.Errorf("got %v", err)
	}
}
