package inject

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParams(t *testing.T) {
	shipped, err := os.ReadFile(filepath.Join("..", "..", "k8s", "inject", "params.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ParseParams(shipped); err != nil || p != Defaults() {
		t.Errorf("k8s/inject/params.yaml is %v, %v; want the built-in values", p, err)
	}
	p, err := ParseParams([]byte("kind: ConfigMap\ndata: {image: other:1, memoryLimit: 1.5Gi}\n"))
	want := Defaults()
	want.Image, want.MemoryLimit = "other:1", "1.5Gi"
	if err != nil || p != want {
		t.Errorf("%v, %v; want %v", p, err, want)
	}
}

func TestParamsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"kind: Secret\ndata: {image: a}\n":         `the kind is "Secret", not ConfigMap`,
		"kind: ConfigMap\ndata: {imagee: a}\n":     `unknown parameter "imagee"; there are image, cpu, memory`,
		"kind: ConfigMap\ndata: {image: ' '}\n":    "parameter image is empty",
		"kind: ConfigMap\ndata: {cpu: lots}\n":     `parameter cpu: "lots" is no quantity`,
		"kind: ConfigMap\ndata: {config: A_B}\n":   `parameter config: "A_B" is no name`,
		"kind: ConfigMap\ndata: [a]\n":             "read the parameters",
		"kind: ConfigMap\ndata: {secret: '../x'}":  `parameter secret: "../x" is no name`,
		"kind: ConfigMap\ndata: {spoolLimit: 4GB}": `parameter spoolLimit: "4GB" is no quantity`,
	} {
		if _, err := ParseParams([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
