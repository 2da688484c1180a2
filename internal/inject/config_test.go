package inject

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar"
)

// productionRedis is what production adds to the example policies.
const productionRedis = `
# State that all replicas share, and the stream that letters are forwarded to.
redis:
  addresses: ["redis.data.svc.cluster.local:6379"]
  username: sidecar
  password: env:REDIS_PASSWORD
  prefix: integrations-production
`

// TestPoliciesInManifests holds the ConfigMaps to config.example.yaml; kustomize reads no files outside its folder.
func TestPoliciesInManifests(t *testing.T) {
	const schema = "$schema=config.schema.json"
	if !bytes.Contains(sidecar.ExampleConfig, []byte(schema)) {
		t.Fatalf("config.example.yaml does not name its schema as %s", schema)
	}
	for file, more := range map[string]string{
		"base/config.yaml":                "../../",
		"overlays/production/config.yaml": "../../../",
	} {
		config := bytes.Replace(sidecar.ExampleConfig, []byte(schema), []byte("$schema="+more+"config.schema.json"), 1)
		if file != "base/config.yaml" {
			config = append(config, productionRedis...)
		}
		golden(t, filepath.Join("..", "..", "k8s", file), config)
	}
}

// TestAdapterNamesAreThoseOfTheConfiguration: a name that the configuration takes can be injected, and no other.
func TestAdapterNamesAreThoseOfTheConfiguration(t *testing.T) {
	shape, err := os.ReadFile(filepath.Join("..", "config", "shape.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(shape), `yaml:"adapters" required:"true" keys:"`+adapterPattern+`"`) {
		t.Errorf("internal/config takes other names of adapters than %s", adapterPattern)
	}
}
