package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNothingHeavyIsLinked: html/template calls methods by names that the linker cannot know, so that it keeps all of
// them, of every package: the binary would be half as large again. gRPC, which the exporter of spans links, brings it
// unless it is told not to.
func TestNothingHeavyIsLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "grpcnotrace", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	for _, heavy := range []string{"html/template", "golang.org/x/net/trace", "k8s.io/client-go/kubernetes"} {
		if slices.Contains(packages, heavy) {
			t.Errorf("%s is linked", heavy)
		}
	}
	for _, file := range []string{"Makefile", "Dockerfile", "bench/sidecar.go", "e2e/build.go"} {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "grpcnotrace") {
			t.Errorf("%s builds without the tag grpcnotrace", file)
		}
	}
}
