//go:build e2e

package servers

import (
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// everyManifestIsAccepted dry-runs all of k8s/ on the server, with strict validation of fields: what kustomize builds of
// each folder, and each file by itself. No file is passed over but those named here, which a build reads.
func everyManifestIsAccepted(t *testing.T, c *cluster) {
	for _, folder := range []string{"inject", "base", "examples", "overlays/dev", "overlays/production", "overlays/older"} {
		t.Run(folder, func(t *testing.T) {
			objects := build(t, folder)
			for _, o := range objects {
				c.dryRun(t, o)
			}
			if len(objects) == 0 {
				t.Errorf("it builds nothing")
			}
		})
	}
	err := filepath.WalkDir(manifests, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".yaml" {
			return err
		}
		switch {
		case d.Name() == "kustomization.yaml", d.Name() == "config.yaml", strings.Contains(filepath.ToSlash(file), "/components/"):
			return nil // read by kustomize; a document of ours, which our own tests validate; patches without a pod of their own
		case strings.Contains(filepath.ToSlash(file), "/observability/rules"):
			return nil // Prometheus' own files, which promtool checks; prometheusrule.yaml is the manifest of the same
		}
		t.Run(file, func(t *testing.T) {
			for _, o := range objectsIn(t, file) {
				c.dryRun(t, o)
			}
		})
		return nil
	})
	must(t, err)
}

// dryRun asks the server what it thinks of o; the namespace it is in has to be there for that.
func (c *cluster) dryRun(t *testing.T, o object) {
	t.Helper()
	path := c.path(t, o)
	if name := o.text("metadata", "namespace"); strings.Contains(path, "/namespaces/") {
		if name == "" {
			set(o, restricted, "metadata", "namespace")
		} else {
			c.ensure(t, namespace(name))
		}
	}
	if status, answer := c.apply(t, o, "dryRun=All"); status >= 300 {
		t.Errorf("%s: %d %s", o, status, answer.text("message"))
	}
}

// ensure creates what is not there yet.
func (c *cluster) ensure(t *testing.T, o object) {
	t.Helper()
	if status, answer := c.create(t, o); status >= 300 && status != http.StatusConflict {
		t.Fatalf("create %s: %d %s", o, status, answer.text("message"))
	}
}
