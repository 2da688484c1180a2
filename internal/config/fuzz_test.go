package config

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	sidecar "github.com/fsm-integrations/sidecar"
)

// FuzzParse: no document makes the parser panic, and no literal secret, at whatever place of a secret it stands, is
// printed in a fault.
func FuzzParse(f *testing.F) {
	f.Add(sidecar.ExampleConfig, "hunter2-hunter2")
	for _, path := range []string{"alias-bomb", "alias-of-itself", "merge-key", "key-not-a-word", "wrong-type", "second-document"} {
		data, err := os.ReadFile("testdata/bad/" + path + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "vault:"+path)
	}
	f.Fuzz(func(t *testing.T, data []byte, literal string) {
		if doc, err := Parse("fuzz.yaml", data); (doc == nil) == (err == nil) {
			t.Fatal("neither a document nor faults, or both")
		} else if doc != nil {
			for _, a := range doc.Adapters {
				doc.Effective(a.Name, "")
			}
		}
		const mark = "s3cr3t-"
		quoted, err := json.Marshal(mark + literal) // JSON strings are YAML
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range secretPlaces(string(quoted)) {
			if _, err := Parse("fuzz.yaml", []byte(place)); err == nil {
				t.Errorf("a literal secret is accepted in %s", place)
			} else if strings.Contains(err.Error(), mark) {
				t.Errorf("a literal secret is printed: %v", err)
			}
		}
	})
}

// secretPlaces are documents with a literal where a reference, or the block around one, belongs.
func secretPlaces(literal string) []string {
	places := []string{
		"auth: { bearer: @ }", "auth: { basic: { username: a, password: @ } }", "auth: { header: { name: X, value: @ } }",
		"sign: { secret: @ }", "sign: { secret: [@] }", "sign: @", "auth: @", "tls: { key: @ }", "auth: { basic: @ }",
	}
	out := make([]string, len(places))
	for i, p := range places {
		out[i] = "defaults:\n  " + strings.Replace(p, "@", literal, 1) + "\n" + minimal
	}
	return out
}
