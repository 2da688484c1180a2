package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// BuiltIn is the origin of a value that no line of the file sets.
const BuiltIn = "built-in"

// Setting is one effective value of a policy and the line that set it.
type Setting struct {
	Path   string // such as retry.max_retries
	Value  string // as the file would write it; off for a policy that is off
	Origin string // file:line, or built-in
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
	for _, a := range d.Adapters {
		if a.Name != adapter {
			continue
		}
		if operation == "" {
			return d.rows(nil, reflect.ValueOf(*a.Settings), "", adapter, operation)
		}
		for _, op := range a.Operations {
			if op.Name == operation {
				return d.rows(nil, reflect.ValueOf(*op.Settings), "", adapter, operation)
			}
		}
	}
	return nil
}

func (d *Document) rows(out []Setting, v reflect.Value, prefix, adapter, operation string) []Setting {
	for _, f := range fieldsOf(v.Type()) {
		value, path := v.FieldByIndex(f.index), join(prefix, f.key)
		if value.Kind() == reflect.Pointer {
			switch {
			case value.IsNil() && f.switchable():
				out = append(out, Setting{path, "off", d.Origin(adapter, operation, path)})
				continue
			case value.IsNil():
				continue // one of several alternatives, such as auth.basic beside auth.bearer
			}
			value = value.Elem()
		}
		if shapeOf(f.typ) == shapeBlock {
			out = d.rows(out, value, path, adapter, operation)
			continue
		}
		if _, isRef := value.Interface().(secret.Ref); isRef && value.Len() == 0 {
			continue // an alternative too, such as auth.bearer beside auth.basic
		}
		out = append(out, Setting{path, show(value), d.Origin(adapter, operation, path)})
	}
	return out
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
	}
	return fmt.Sprint(v.Interface())
}
