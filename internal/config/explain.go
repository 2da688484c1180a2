package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// BuiltIn is the origin of a value that no line of the file sets.
const BuiltIn = "built-in"

// Setting is one effective value of a policy and the line that set it.
type Setting struct {
	Path   string `json:"path"`   // such as retry.max_retries
	Value  string `json:"value"`  // as the file would write it; off for a policy that is off
	Origin string `json:"origin"` // file:line, or built-in
}

// Origin is the line that set a policy's value, as file:line, or built-in. operation is "" for the adapter's own
// policies, else Operation.Name. path is dotted, such as retry.max_retries.
func (d *Document) Origin(adapter, operation, path string) string {
	s := d.scope(adapter, operation)
	if s == nil {
		return BuiltIn
	}
	keys := strings.Split(path, ".")
	n, depth := s.merged.nearest(keys)
	if depth == len(keys) || depth > 0 && n.kind == scalar { // a value inside a policy that is off was set by the off
		return d.File + ":" + strconv.Itoa(n.line)
	}
	return BuiltIn
}

func (d *Document) scope(adapter, operation string) *scope {
	if operation == "" {
		return d.scopes[adapter]
	}
	return d.scopes[adapter+" "+operation]
}

// Effective lists every policy value of an adapter (operation "") or of one of its operations, in the order of
// policy.Settings. A policy that is off is one row. It returns nil when there is no such adapter or operation.
func (d *Document) Effective(adapter, operation string) []Setting {
	e := &effective{document: d, adapter: adapter, operation: operation}
	for _, a := range d.Adapters {
		if a.Name != adapter {
			continue
		}
		if operation == "" {
			e.block(reflect.ValueOf(*a.Settings), "", "")
			return e.rows
		}
		for _, op := range a.Operations {
			if op.Name == operation {
				e.block(reflect.ValueOf(*op.Settings), "", "")
				return e.rows
			}
		}
	}
	return nil
}

// effective collects the rows of one adapter or operation.
type effective struct {
	document           *Document
	adapter, operation string
	rows               []Setting
}

// block adds the rows of one block. Keys that are for another signature scheme than the block's are left out; a block
// without one has the scheme of the block around it.
func (e *effective) block(v reflect.Value, prefix, scheme string) {
	fields := fieldsOf(v.Type())
	for _, f := range fields {
		if own := v.FieldByIndex(f.index); f.key == "scheme" && own.String() != "" {
			scheme = own.String()
		}
	}
	for _, f := range fields {
		switch {
		case f.key == "scheme":
			e.add(join(prefix, f.key), scheme)
		case len(f.schemes) == 0 || slices.Contains(f.schemes, scheme):
			e.field(v.FieldByIndex(f.index), &f, join(prefix, f.key), scheme)
		}
	}
}

func (e *effective) field(value reflect.Value, f *field, path, scheme string) {
	if value.Kind() == reflect.Pointer {
		switch {
		case value.IsNil() && f.switchable():
			e.add(path, "off")
			return
		case value.IsNil():
			return // one of several alternatives, such as auth.basic beside auth.bearer
		}
		value = value.Elem()
	}
	if shapeOf(f.typ) == shapeBlock {
		e.block(value, path, scheme)
		return
	}
	if _, isRef := value.Interface().(secret.Ref); isRef && value.Len() == 0 {
		return // an alternative too, such as auth.bearer beside auth.basic
	}
	e.add(path, show(value))
}

func (e *effective) add(path, value string) {
	e.rows = append(e.rows, Setting{path, value, e.document.Origin(e.adapter, e.operation, path)})
}

// show writes a value as the file would.
func show(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.String && v.Len() == 0:
		return `""`
	case v.Kind() == reflect.String && strings.ContainsFunc(v.String(), unicode.IsControl): // a program of several lines
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}
