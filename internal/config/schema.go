package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/internal/units"
)

// object is a JSON Schema; encoding/json sorts its keys, so the output is stable.
type object map[string]any

// Schema is the JSON Schema (draft 2020-12) of the document, for editors and other tools. What it refuses, Parse
// refuses; what only the whole document can tell (unsafe combinations, addresses, path patterns) only Parse knows.
func Schema() []byte {
	s := &schema{defs: object{}}
	root := s.block(reflect.TypeFor[documentShape](), false)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of the integration sidecar"
	root["$defs"] = s.defs
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		panic("config: schema: " + err.Error()) // only maps, slices, strings and numbers are in it
	}
	return b.Bytes()
}

// schema collects the named blocks while the tree of types is walked.
type schema struct {
	defs object
}

func (s *schema) block(t reflect.Type, partial bool) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		properties[f.key] = s.field(&f, partial || f.inherit)
		if f.required && !partial {
			required = append(required, f.key)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func (s *schema) field(f *field, partial bool) object {
	out := s.value(f, f.typ, partial)
	if f.switchable() {
		out = object{"anyOf": []any{object{"const": "off"}, out}}
	}
	if text := describe(f); text != "" {
		out["description"] = text
	}
	if f.switchable() && f.builtin == "off" || f.builtin != "" && shapeOf(f.typ) != shapeBlock {
		out["default"] = builtinJSON(f)
	}
	return out
}

// describe is the doc of a field with what JSON Schema has no word for: the range of a quantity, and the schemes a key belongs to.
func describe(f *field) string {
	text := f.doc
	if (f.min != "" || f.max != "") && isText(f.typ) {
		text += " Allowed: " + span(f) + "."
	}
	if len(f.schemes) > 0 {
		text += " Only with " + strings.Join(f.schemes, " or ") + "."
	}
	return text
}

func (s *schema) value(f *field, t reflect.Type, partial bool) object {
	switch shapeOf(t) {
	case shapeList:
		return object{"type": "array", "items": s.value(f, t.Elem(), partial)}
	case shapeMap:
		return object{"type": "object", "minProperties": 1, "propertyNames": object{"pattern": f.keys}, "additionalProperties": s.define(t.Elem(), partial)}
	case shapeBlock:
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return s.define(t, partial)
	}
	return scalarSchema(f, t)
}

// define names a block once and refers to it. A layer of policies lacks the required keys, so it is another block.
func (s *schema) define(t reflect.Type, partial bool) object {
	name := t.Name()
	if partial {
		name += "Layer"
	}
	if _, done := s.defs[name]; !done {
		s.defs[name] = nil // a block that holds itself would end here
		s.defs[name] = s.block(t, partial)
	}
	return object{"$ref": "#/$defs/" + name}
}

func scalarSchema(f *field, t reflect.Type) object {
	switch t {
	case reflect.TypeFor[secret.Ref]():
		return object{"type": "string", "pattern": `^((env|file):.+|vault:[^#]+#.+)?$`}
	case reflect.TypeFor[units.Duration]():
		return object{"anyOf": []any{object{"const": 0}, object{"type": "string", "pattern": `^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`}}}
	case reflect.TypeFor[units.Bytes]():
		return object{"anyOf": []any{object{"type": "integer", "minimum": 0}, object{"type": "string", "pattern": `^[+]?[0-9]+( *(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB))?$`}}}
	case reflect.TypeFor[units.Percent]():
		return object{"type": "string", "pattern": `%$`}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return ranged(object{"type": "integer"}, f)
	case reflect.Float64:
		return ranged(object{"type": "number"}, f)
	}
	return stringSchema(f)
}

func stringSchema(f *field) object {
	if len(f.enum) > 0 {
		var allowed []any
		for _, w := range f.enum {
			allowed = append(allowed, w)
			if n, err := strconv.Atoi(w); err == nil {
				allowed = append(allowed, n) // 429 without quotes is a number to YAML
			}
		}
		return object{"enum": allowed}
	}
	out := object{"type": "string"}
	if f.required {
		out["minLength"] = 1
	}
	if f.pattern != "" {
		out["pattern"] = "^$|" + f.pattern
	}
	if f.format == "url" {
		out["pattern"] = "^$|^[Hh][Tt][Tt][Pp][Ss]?://."
	}
	return out
}

func ranged(out object, f *field) object {
	if f.min != "" {
		out["minimum"] = json.Number(f.min)
	}
	if f.max != "" {
		out["maximum"] = json.Number(f.max)
	}
	return out
}

// builtinJSON is the built-in value as JSON: a number, a boolean, a list, or text.
func builtinJSON(f *field) any {
	switch {
	case shapeOf(f.typ) == shapeList:
		return words(f.builtin)
	case isText(f.typ) || f.typ.Kind() == reflect.String || f.typ.Kind() == reflect.Pointer:
		return f.builtin
	}
	return json.RawMessage(f.builtin)
}
