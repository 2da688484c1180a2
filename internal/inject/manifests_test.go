package inject

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func defaults() Options { return Options{Params: Defaults()} }

// TestManifests holds what each file of testdata/manifests becomes to its golden, and to what must hold for all.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/manifests/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out, outcomes, err := Manifests(text, defaults())
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for _, o := range outcomes {
				fmt.Fprintf(&said, "# %s: %v %s\n", o.Workload, o.Injected, o.Reason)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", append([]byte(said.String()), out...))
			again, outcomes, err := Manifests(out, defaults())
			if err != nil || string(again) != string(out) {
				t.Errorf("what has a sidecar is changed again: %v\n%s", err, again)
			}
			for _, o := range outcomes {
				if o.Injected {
					t.Errorf("%s is injected twice", o.Workload)
				}
			}
		})
	}
}

// TestRefused: what cannot be injected is said with its line, and nothing is printed.
func TestRefused(t *testing.T) {
	pod := func(labels, spec string) string {
		return "kind: Pod\nmetadata:\n  name: p\n  labels: {integration-sidecar/inject: \"true\"}\n" + labels + "spec:\n" + spec
	}
	annotated := func(text string) string { return pod("  annotations: {"+text+"}\n", "  containers: [{name: app}]\n") }
	for name, c := range map[string]struct{ text, want string }{
		"host network":       {pod("", "  hostNetwork: true\n  containers: [{name: app}]\n"), "line 1: pod/p: its pod has hostNetwork"},
		"second document":    {"a: b\n---\n" + pod("", "  containers: []\n"), "line 3: pod/p: its pod has no containers"},
		"no spec":            {"kind: Pod\nmetadata: {labels: {integration-sidecar/inject: \"true\"}}\n", "pod/without a name: its pod has no containers"},
		"same name":          {pod("", "  containers: [{name: integration-sidecar}]\n"), "a container is called integration-sidecar and is no init container"},
		"odd container":      {pod("  annotations: {integration-sidecar/adapters: a}\n", "  containers: [app]\n"), "a container of its pod is no mapping"},
		"adapter":            {annotated(`integration-sidecar/adapters: "Sales System"`), `"Sales System" is no name of an adapter`},
		"adapter twice":      {annotated(`integration-sidecar/adapters: "a,b,a"`), "names a twice"},
		"config":             {annotated(`integration-sidecar/config: "A B"`), `parameter config: "A B" is no name that Kubernetes takes`},
		"secret":             {annotated(`integration-sidecar/secret: ""`), "parameter secret is empty"},
		"merge key":          {pod("", "  containers: [{name: app, env: &e []}, {<<: {name: b}}]\n"), "line 6: a merge key"},
		"no YAML":            {"a: [", "the document that begins on line 1: "},
		"no YAML, later":     {"a: b\n---\nc: [", "the document that begins on line 2: "},
		"an alias of itself": {pod("", "  containers: &c [{name: app, x: *c}]\n"), "its aliases make it too large"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := Manifests([]byte(c.text), defaults())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if out != nil {
				t.Errorf("printed all the same:\n%s", out)
			}
		})
	}
}

func TestAllTakesPodsWithoutTheLabel(t *testing.T) {
	text := []byte("kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: app}]}\n---\n" +
		"kind: Pod\nmetadata: {name: b, labels: {integration-sidecar/inject: \"false\"}}\nspec: {containers: [{name: app}]}\n")
	_, outcomes, err := Manifests(text, Options{Params: Defaults(), All: true})
	if err != nil || len(outcomes) != 2 || !outcomes[0].Injected || outcomes[1].Injected {
		t.Errorf("outcomes %v, error %v", outcomes, err)
	}
}

// TestEachWayGivesTheSameContainer compares what Manifests writes with what the kustomize component does.
func TestEachWayGivesTheSameContainer(t *testing.T) {
	type spec struct {
		InitContainers []map[string]any `yaml:"initContainers"`
		Volumes        []map[string]any `yaml:"volumes"`
	}
	var pod struct {
		Spec spec `yaml:"spec"`
	}
	out, _, err := Manifests([]byte("kind: Pod\nmetadata: {labels: {integration-sidecar/inject: \"true\"}}\nspec: {containers: [{name: app}]}\n"), defaults())
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(out, &pod); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"template.yaml", "cronjob.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "k8s", "components", "sidecar", file))
		if err != nil {
			t.Fatal(err)
		}
		var object yaml.Node
		if err := yaml.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		found := workloads(object.Content[0])
		if len(found) != 1 {
			t.Fatalf("%s holds %d workloads", file, len(found))
		}
		var patch spec
		if err := get(found[0].pod, "spec").Decode(&patch); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(patch, pod.Spec) {
			t.Errorf("%s: %v\nwant %v", file, patch, pod.Spec)
		}
	}
}

// FuzzManifests: whatever comes in, nothing panics, and what was injected is left alone the second time.
func FuzzManifests(f *testing.F) {
	files, _ := filepath.Glob("testdata/manifests/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, _, err := Manifests(text, Options{Params: Defaults(), All: true})
		if err != nil {
			return
		}
		again, outcomes, err := Manifests(out, Options{Params: Defaults(), All: true})
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, out)
		}
		for _, o := range outcomes {
			if o.Injected {
				t.Fatalf("%s was injected twice:\n%s", o.Workload, again)
			}
		}
	})
}
