package main

import (
	"path/filepath"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/config"
)

// TestPoliciesInManifestsRun: what the ConfigMaps of k8s/ hold is valid, and nothing in it is refused by run.
func TestPoliciesInManifestsRun(t *testing.T) {
	for _, file := range []string{"base/config.yaml", "overlays/production/config.yaml"} {
		if _, err := config.Load(filepath.Join("..", "..", "k8s", filepath.FromSlash(file))); err != nil {
			t.Errorf("k8s/%s: %v", file, err)
		}
	}
}
