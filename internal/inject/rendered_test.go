package inject

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"text/template"
)

var update = flag.Bool("update", false, "write the golden files and the rendered manifests in k8s/ anew")

// golden compares with a file, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go test ./internal/inject -update\n%s", file, got)
	}
}

// param is one parameter as the templates see it.
type param struct{ Key, Value, Doc, Expression string }

// perPod are the parameters that an annotation may override.
var perPod = map[string]string{"config": ConfigAnnotation, "secret": SecretAnnotation}

func params() []param {
	var list []param
	defaults := reflect.ValueOf(Defaults())
	for i, key := range paramKeys() {
		p := param{Key: key, Value: defaults.Field(i).String(), Doc: defaults.Type().Field(i).Tag.Get("doc")}
		p.Expression = fmt.Sprintf("params.?data[?%q].orValue(%q)", key, p.Value)
		if annotation := perPod[key]; annotation != "" {
			p.Expression = fmt.Sprintf("variables.annotations[?%q].orValue(%s)", annotation, p.Expression)
		}
		list = append(list, p)
	}
	return list
}

type celVolume struct{ Name, Expression string }

// rendering is what the templates in testdata/templates are filled with.
func rendering(t *testing.T) map[string]any {
	t.Helper()
	var volumes []celVolume
	for _, v := range expressions().volumes() {
		volumes = append(volumes, celVolume{v.Name, inCEL(t, v, "Object.spec.volumes", strings.Repeat(" ", 16))})
	}
	pod := map[string]any{"initContainers": []container{Defaults().container()}, "volumes": Defaults().volumes()}
	n, err := node(pod)
	if err != nil {
		t.Fatal(err)
	}
	text, err := render(n)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"Label": Label, "Container": Container, "AdapterPattern": adapterPattern, "Params": params(), "URLs": urlsInCEL(),
		"Adapters": strings.Replace(adaptersInCEL, "variables.annotations", "object.metadata.?annotations.orValue({})", 1),
		"Volumes":  volumes, "Sidecar": inCEL(t, expressions().container(), "Object.spec.initContainers", strings.Repeat(" ", 12)),
		"PodSpec": string(text), "Grace": leastGrace, "Advice": graceAdvice,
	}
}

// TestRenderedManifests holds the policies and the component to the container of this package.
func TestRenderedManifests(t *testing.T) {
	root := filepath.Join("..", "..", "k8s")
	templates, err := template.New("").Funcs(template.FuncMap{"indent": indent}).ParseGlob("testdata/templates/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := rendering(t)
	for name, file := range map[string]string{
		"mutating.yaml":   "inject/mutating.yaml",
		"validating.yaml": "inject/validating.yaml",
		"params.yaml":     "inject/params.yaml",
		"template.yaml":   "components/sidecar/template.yaml",
		"cronjob.yaml":    "components/sidecar/cronjob.yaml",
	} {
		var out bytes.Buffer
		if err := templates.ExecuteTemplate(&out, name, values); err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join(root, file), out.Bytes())
	}
}

func indent(n int, text string) string {
	margin := strings.Repeat(" ", n)
	return margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin)
}
