package jsonbody

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// written puts files into a new directory.
func written(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func schemaOf(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := NewFiles(written(t, map[string]string{"s.json": text})).Schema("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said are the violations of a body, a line each.
func said(t testing.TB, s *Schema, body string) []string {
	t.Helper()
	value, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	list, total := s.Check(value)
	if total != len(list) {
		t.Errorf("%d violations, %d listed", total, len(list))
	}
	return lines(list)
}

func lines(list []problem.Violation) (out []string) {
	for _, v := range list {
		out = append(out, v.Pointer+" "+v.Detail)
	}
	return out
}

// TestEveryKeywordSaysWhatItAsksForAndNotWhatItGot: no violation repeats a value of the body, which may be about a person.
func TestEveryKeywordSaysWhatItAsksForAndNotWhatItGot(t *testing.T) {
	const secret = "41111111"
	for _, c := range []struct {
		schema, body string
		want         []string
	}{
		{`{"type":["string","null"]}`, `41111111`, []string{" must be null or string, and is number"}},
		{`{"enum":["a",1,null]}`, `"41111111"`, []string{` must be one of "a", 1, null`}},
		{`{"const":{"a":1}}`, `{"41111111":1}`, []string{` must be {"a":1}`}},
		{`{"format":"email"}`, `"41111111"`, []string{" must be a valid email (format)"}},
		{`{"format":"date-time"}`, `"41111111"`, []string{" must be a valid date-time (format)"}},
		{`{"pattern":"^o-"}`, `"41111111"`, []string{" must match ^o-"}},
		{`{"minLength":20}`, `"41111111"`, []string{" must have at least 20 characters"}},
		{`{"maxLength":2}`, `"41111111"`, []string{" must have at most 2 characters"}},
		{`{"minItems":2}`, `["41111111"]`, []string{" must have at least 2 items"}},
		{`{"maxItems":0}`, `["41111111"]`, []string{" must have at most 0 items"}},
		{`{"uniqueItems":true}`, `["41111111","41111111"]`, []string{" must have no equal items, and those at 0 and 1 are"}},
		{`{"contains":{"type":"null"}}`, `["41111111"]`, []string{" must have an item like those that contains describes"}},
		{`{"contains":{"type":"null"},"minContains":2}`, `["41111111",null]`, []string{" must have at least 2 items like those that contains describes"}},
		{`{"contains":{"type":"null"},"maxContains":1}`, `[null,null,"41111111"]`, []string{" must have at most 1 items like those that contains describes"}},
		{`{"minProperties":2}`, `{"a":"41111111"}`, []string{" must have at least 2 members"}},
		{`{"maxProperties":0}`, `{"a":"41111111"}`, []string{" must have at most 0 members"}},
		{`{"minimum":0.5}`, `-41111111`, []string{" must be at least 0.5"}},
		{`{"maximum":12345678901234567890}`, `41111111411111114111111141111111`, []string{" must be at most 12345678901234567890"}},
		{`{"exclusiveMinimum":41111112}`, `41111111`, []string{" must be more than 41111112"}},
		{`{"exclusiveMaximum":1}`, `41111111`, []string{" must be less than 1"}},
		{`{"multipleOf":0.01}`, `41111111.001`, []string{" must be a multiple of 0.01"}},
		{`{"required":["a/b","c~d"]}`, `{"x":"41111111"}`, []string{"/a~1b is required", "/c~0d is required"}},
		{`{"dependentRequired":{"x":["y"]}}`, `{"x":"41111111"}`, []string{"/y is required beside x"}},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"x":["y"]}}`, `{"x":"41111111"}`, []string{"/y is required beside x"}},
		{`{"additionalProperties":false}`, `{"x":"41111111","y":1}`, []string{"/x is not allowed (additionalProperties)", "/y is not allowed (additionalProperties)"}},
		{`{"propertyNames":{"maxLength":1}}`, `{"xy":"41111111"}`, []string{"/xy has a name that is not allowed (propertyNames)"}},
		{`{"properties":{"x":false}}`, `{"x":"41111111"}`, []string{"/x is not allowed"}},
		{`{"not":{"type":"string"}}`, `"41111111"`, []string{" matches what it must not (not)"}},
		{`{"anyOf":[{"type":"null"},{"type":"integer","multipleOf":2}]}`, `"41111111"`, []string{
			" must match one of several alternatives, and matches none (anyOf): must be null, and is string; must be integer, and is string"}},
		{`{"oneOf":[{"type":"string"},{"minLength":1}]}`, `"41111111"`, []string{" must match one of several alternatives, and matches more than one (oneOf)"}},
		{`{"if":{"type":"string"},"then":{"maxLength":1}}`, `"41111111"`, []string{" must have at most 1 characters"}},
		{`{"allOf":[{"minLength":20},{"maxLength":1},{"$ref":"#/$defs/x"}],"$defs":{"x":{"maxLength":1}}}`, `"41111111"`, []string{
			" must have at least 20 characters", " must have at most 1 characters"}},
		{`{"prefixItems":[{"type":"string"}],"items":false}`, `[41111112,41111111]`, []string{"/0 must be string, and is number", "/1 is not allowed"}},
		{`{"properties":{"a":true},"unevaluatedProperties":false}`, `{"a":1,"b":"41111111"}`, []string{"/b is not allowed"}},
	} {
		schema := schemaOf(t, c.schema)
		got := said(t, schema, c.body)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s of %s: %q, want %q", c.schema, c.body, got, c.want)
		}
		if strings.Contains(strings.Join(got, "\n"), secret+`"`) || strings.Contains(strings.Join(got, "\n"), " "+secret+" ") {
			t.Errorf("%s repeats the body: %q", c.schema, got)
		}
	}
}

func TestAnAlternativeThatWasChosenSaysWhatItLacks(t *testing.T) {
	s := schemaOf(t, `{"oneOf":[
		{"type":"object","properties":{"kind":{"const":"card"},"number":{"type":"string"}},"required":["kind","number"]},
		{"type":"object","properties":{"kind":{"const":"bank"},"iban":{"type":"string"},"bic":{"type":"string"}},"required":["kind","iban","bic"]}]}`)
	got := said(t, s, `{"kind":"card","number":1}`)
	want := []string{" must match one of several alternatives, and matches none (oneOf)", "/number must be string, and is number"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestNumbersKeepTheirSizeInSchemas(t *testing.T) {
	s := schemaOf(t, `{"properties":{"id":{"type":"integer","maximum":9007199254740993},"n":{"type":"integer"}}}`)
	if got := said(t, s, `{"id":9007199254740993,"n":1.0}`); got != nil {
		t.Errorf("%q", got)
	}
	if got := said(t, s, `{"id":9007199254740994,"n":1e2}`); !slices.Equal(got, []string{"/id must be at most 9007199254740993"}) {
		t.Errorf("%q", got)
	}
}

func TestManyViolationsAreCountedAndTheFirstListed(t *testing.T) {
	s := schemaOf(t, `{"items":{"type":"string"}}`)
	value, err := Decode([]byte("[" + strings.Repeat("0,", 70) + "0]"))
	if err != nil {
		t.Fatal(err)
	}
	list, total := s.Check(value)
	if total != 71 || len(list) != MaxViolations || list[0].Pointer != "/0" {
		t.Errorf("%d, %d listed, the first at %s", total, len(list), list[0].Pointer)
	}
}

func TestVeryManyViolationsAreCountedAndNotWorded(t *testing.T) {
	s := schemaOf(t, `{"items":{"anyOf":[{"type":"string"},{"type":"null"}]}}`)
	value, err := Decode([]byte("[" + strings.Repeat("0,", 4999) + "0]"))
	if err != nil {
		t.Fatal(err)
	}
	list, total := s.Check(value)
	if total != 5000 || len(list) != MaxViolations {
		t.Errorf("%d, %d listed", total, len(list))
	}
}

func TestALongNameIsCut(t *testing.T) {
	s := schemaOf(t, `{"additionalProperties":false}`)
	list := said(t, s, `{"`+strings.Repeat("é", 5000)+`":1}`)
	if len(list) != 1 || len(list[0]) > 400 {
		t.Errorf("%q", list)
	}
}

func TestASchemaIsMadeOfFilesBesideIt(t *testing.T) {
	dir := written(t, map[string]string{
		"schemas/order.json":       `{"properties":{"line":{"$ref":"parts/line.json"},"who":{"$ref":"who.json#/$defs/name"}}}`,
		"schemas/parts/line.json":  `{"required":["sku"],"properties":{"who":{"$ref":"../who.json#/$defs/name"}}}`,
		"schemas/who.json":         `{"$defs":{"name":{"type":"string"}}}`,
		"secret.json":              `{"type":"null"}`,
		"schemas/climbs.json":      `{"$ref":"../secret.json"}`,
		"schemas/percent.json":     `{"$ref":"%2e%2e/secret.json"}`,
		"schemas/absolute.json":    `{"$ref":"/etc/hostname"}`,
		"schemas/file-scheme.json": `{"$ref":"file:///etc/hostname"}`,
		"schemas/remote.json":      `{"$id":"https://example.com/s/remote.json","$ref":"who.json"}`,
		"schemas/meta.json":        `{"$schema":"https://example.com/draft"}`,
		"schemas/large.json":       `{"description":"` + strings.Repeat("x", maxSchema) + `"}`,
	})
	if err := os.Symlink(filepath.Join(dir, "secret.json"), filepath.Join(dir, "schemas", "link.json")); err != nil {
		t.Fatal(err)
	}
	files := NewFiles(dir)
	s, err := files.Schema("schemas/order.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := said(t, s, `{"line":{"who":1},"who":2}`); !slices.Equal(got, []string{"/line/sku is required", "/line/who must be string, and is number", "/who must be string, and is number"}) {
		t.Errorf("%q", got)
	}
	if again, _ := files.Schema("schemas/order.json"); again != s {
		t.Error("it was read twice")
	}
	for _, name := range []string{"order.json", "parts/line.json", "who.json"} {
		if path := filepath.Join(dir, "schemas", name); !slices.Contains(files.Touched(), path) {
			t.Errorf("%s is not among %q", name, files.Touched())
		}
	}
	for name, want := range map[string]string{
		"climbs.json": "cannot be read: secret.json: no such file or directory", "percent.json": "cannot be read: ../secret.json: path escapes from parent",
		"link.json": "cannot be read: link.json: path escapes from parent", "absolute.json": "cannot be read: etc/hostname: no such file or directory",
		"file-scheme.json": "refers to file:///etc/hostname, which is not loaded", "remote.json": "refers to https://example.com/s/who.json, which is not loaded",
		"meta.json": "refers to https://example.com/draft, which is not loaded", "absent.json": "cannot be read: absent.json: no such file or directory",
		"large.json": "cannot be read: large.json: it is larger than 1048576 bytes",
	} {
		if _, err := files.Schema("schemas/" + name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if path := filepath.Join(dir, "schemas", "absent.json"); !slices.Contains(files.Touched(), path) {
		t.Error("a file that is yet to come is not watched for")
	}
}

// A mounted ConfigMap is a directory of links to links within itself.
func TestASchemaOfAMountedConfigMap(t *testing.T) {
	dir := written(t, map[string]string{"..2026/order.json": `{"$ref":"line.json"}`, "..2026/line.json": `{"type":"object"}`})
	for link, to := range map[string]string{"..data": "..2026", "order.json": "..data/order.json", "line.json": "..data/line.json"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewFiles(dir).Schema("order.json"); err != nil {
		t.Error(err)
	}
}

func BenchmarkSchema(b *testing.B) {
	s := schemaOf(b, orderSchema)
	body := orderOf(10)
	b.ReportAllocs()
	for b.Loop() {
		value, err := Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		if list, total := s.Check(value); total != 0 {
			b.Fatal(list)
		}
	}
}

const orderSchema = `{"type":"object","required":["orderId","lines"],"additionalProperties":false,"properties":{
	"orderId":{"type":"string","minLength":1,"maxLength":64,"pattern":"^[a-z0-9-]+$"},
	"lines":{"type":"array","minItems":1,"items":{"type":"object","required":["sku","quantity"],"properties":{
		"sku":{"type":"string"},"quantity":{"type":"integer","minimum":1},"price":{"type":"number","minimum":0},"note":{"type":"string","maxLength":200}}}}}}`

// FuzzCheck: no body makes a schema panic, and what it says is bounded.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"orderId":1,"lines":[{"quantity":1e400}]}`))
	f.Add([]byte(`{"lines":[{"quantity":1.0,"sku":null},[]],"x":{}}`))
	f.Add(orderOf(3))
	s := schemaOf(f, orderSchema)
	p, err := Compile("{order: .orderId, total: ([.lines[]?.quantity? | numbers] | add)}", false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := Decode(body)
		if err != nil {
			return
		}
		list, total := s.Check(value)
		if len(list) > MaxViolations || len(list) > total || total > 0 && len(list) == 0 || len(fmt.Sprint(list)) > MaxViolations*1000 {
			t.Fatalf("%d violations, %d listed", total, len(list))
		}
		if result, err := p.Run(t.Context(), value, 0); err == nil {
			if _, err := Encode(result, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
	})
}
