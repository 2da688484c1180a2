package config

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	sidecar "github.com/fsm-integrations/sidecar"
)

var update = flag.Bool("update", false, "rewrite golden files and config.schema.json")

const schemaFile = "../../config.schema.json"

func example(t *testing.T) *Document {
	t.Helper()
	doc, err := Parse("config.example.yaml", sidecar.ExampleConfig)
	if err != nil {
		t.Fatalf("the example is faulty:\n%v", err)
	}
	return doc
}

func TestExampleIsCleanAndRunnable(t *testing.T) {
	doc := example(t)
	if len(doc.Warnings) > 0 {
		t.Errorf("warnings:\n%v", Faults(doc.Warnings))
	}
}

// TestExampleHasTheContractsNumbers repeats the table of the contract.
func TestExampleHasTheContractsNumbers(t *testing.T) {
	type numbers struct {
		retries             int
		initial, longest    string
		multiplier, jitter  float64
		failures, successes int
		attempt, reset      string
		capacity            int
		rate                float64
	}
	want := map[string]numbers{
		"sales-system":  {3, "1s", "30s", 2, 0.1, 5, 2, "30s", "1m", 100, 10},
		"erp-system":    {5, "2s", "1m", 2, 0.2, 3, 2, "45s", "2m", 50, 5},
		"e-signature":   {3, "1s", "30s", 2, 0.1, 5, 3, "1m", "5m", 20, 2},
		"sms-gateway":   {5, "500ms", "10s", 2, 0.15, 10, 3, "15s", "30s", 50, 10},
		"email-gateway": {5, "500ms", "10s", 2, 0.15, 10, 3, "15s", "30s", 100, 20},
	}
	doc := example(t)
	if len(doc.Adapters) != len(want) {
		t.Errorf("%d adapters, want %d", len(doc.Adapters), len(want))
	}
	for _, a := range doc.Adapters {
		s := a.Settings
		got := numbers{
			s.Retry.MaxRetries, s.Retry.InitialDelay.String(), s.Retry.MaxDelay.String(), s.Retry.Multiplier, s.Retry.JitterFactor,
			s.Host.Breaker.FailureThreshold, s.Host.Breaker.SuccessThreshold, s.Timeout.Attempt.String(), s.Host.Breaker.ResetTimeout.String(),
			s.Host.RateLimit.Capacity, s.Host.RateLimit.RefillRate,
		}
		if got != want[a.Name] {
			t.Errorf("%s: got %+v, want %+v", a.Name, got, want[a.Name])
		}
		if worst := s.Retry.WorstCase(s.Timeout); worst > s.Timeout.Total.D() {
			t.Errorf("%s: %v of attempts do not fit %v", a.Name, worst, s.Timeout.Total)
		}
	}
}

func TestSchemaFileIsCurrent(t *testing.T) {
	got := Schema()
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run go test ./internal/config -update", schemaFile)
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.schema.json", raw); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validates asks the JSON Schema about a document, as an editor does.
func validates(t *testing.T, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestSchemaAcceptsTheExample(t *testing.T) {
	if err := validates(t, compileSchema(t), sidecar.ExampleConfig); err != nil {
		t.Error(err)
	}
}

// TestSchemaDescribesEverything keeps the schema useful in an editor.
func TestSchemaDescribesEverything(t *testing.T) {
	var walk func(path string, fields []field)
	seen := map[string]bool{}
	walk = func(path string, fields []field) {
		for _, f := range fields {
			p := join(path, f.key)
			if f.doc == "" {
				t.Errorf("%s has no doc tag", p)
			}
			inner := f.typ
			for inner.Kind().String() == "ptr" || shapeOf(inner) == shapeList || shapeOf(inner) == shapeMap {
				inner = inner.Elem()
			}
			if shapeOf(inner) == shapeBlock && !seen[inner.String()] {
				seen[inner.String()] = true
				walk(p, fieldsOf(inner))
			}
		}
	}
	walk("", fieldsOf(reflect.TypeFor[documentShape]()))
}
