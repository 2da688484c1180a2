package config

import (
	"encoding"
	"reflect"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
	"github.com/fsm-integrations/sidecar/policy"
)

// field is one key of a block, read from the tags of a struct field. policy.Settings documents the tags; config adds
//
//	pattern  a regular expression a string must match
//	format   url: an absolute http or https URL
//	keys     the regular expression the keys of a map must match
//	inherit  true: a layer of policies, whose required keys may stand in another layer
type field struct {
	key      string
	index    []int // for reflect.Value.FieldByIndex
	typ      reflect.Type
	builtin  string
	doc      string
	min, max string
	pattern  string
	format   string
	keys     string
	enum     []string
	schemes  []string
	replace  bool
	required bool
	inherit  bool
	file     bool // a reference that can only be to a file
}

// fieldsOf lists the keys of a struct in the order of its fields, embedded blocks in place.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case key == "-" || key == "" && option == "":
		case option == "inline":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				f.inherit = f.inherit || sf.Tag.Get("inherit") == "true"
				out = append(out, f)
			}
		default:
			f := fieldOf(sf, key, i)
			f.file = t == reflect.TypeFor[policy.TLS]() && sf.Type == reflect.TypeFor[secret.Ref]()
			out = append(out, f)
		}
	}
	return out
}

func fieldOf(sf reflect.StructField, key string, i int) field {
	return field{
		key:      key,
		index:    []int{i},
		typ:      sf.Type,
		builtin:  sf.Tag.Get("default"),
		doc:      sf.Tag.Get("doc"),
		min:      sf.Tag.Get("min"),
		max:      sf.Tag.Get("max"),
		pattern:  sf.Tag.Get("pattern"),
		format:   sf.Tag.Get("format"),
		keys:     sf.Tag.Get("keys"),
		enum:     words(sf.Tag.Get("enum")),
		schemes:  words(sf.Tag.Get("schemes")),
		replace:  sf.Tag.Get("merge") == "replace",
		required: sf.Tag.Get("required") == "true",
		inherit:  sf.Tag.Get("inherit") == "true",
	}
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// switchable reports whether the word off is allowed in place of the block.
func (f *field) switchable() bool {
	return f.typ.Kind() == reflect.Pointer && (f.builtin == "on" || f.builtin == "off")
}

// shape is how a Go type is written in YAML.
type shape int

const (
	shapeScalar shape = iota
	shapeBlock
	shapeList
	shapeMap
)

// shapeOf looks through pointers.
func shapeOf(t reflect.Type) shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isText(t):
		return shapeScalar
	case t.Kind() == reflect.Struct:
		return shapeBlock
	case t.Kind() == reflect.Slice:
		return shapeList
	case t.Kind() == reflect.Map:
		return shapeMap
	}
	return shapeScalar
}

// isText reports whether a type reads itself from text, as the quantities and secret references do.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fill sets every field of a struct to its built-in value. A tag that does not parse is a mistake in this program.
func fill(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		switch {
		case f.switchable() && f.builtin == "on":
			fv.Set(reflect.New(f.typ.Elem()))
			fill(fv.Elem())
		case f.switchable() || f.typ.Kind() == reflect.Pointer:
		case shapeOf(f.typ) == shapeBlock:
			fill(fv)
		case shapeOf(f.typ) == shapeList:
			for _, w := range words(f.builtin) {
				fv.Set(reflect.Append(fv, reflect.ValueOf(w)))
			}
		case f.builtin != "":
			if err := setText(fv, f.builtin); err != nil {
				panic("config: built-in value of " + f.key + ": " + err.Error())
			}
		}
	}
}
