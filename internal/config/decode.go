package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// decoder reads trees into structs by their tags. A value that is wrong is reported and keeps its built-in value, so
// that the rest can still be looked at.
type decoder struct {
	*collector
}

// block reads a mapping into a struct that holds its built-in values already. partial: required keys may be missing
// because another layer may set them.
func (d decoder) block(n *node, v reflect.Value, path string, partial bool) {
	if n.kind != mapping {
		d.add(n, path, n.describe()+"; expected a block of keys: "+list(keysOf(v.Type())))
		return
	}
	fields := fieldsOf(v.Type())
	for _, e := range n.entries {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == e.key })
		if i < 0 {
			d.addAt(e.line, e.column, join(path, e.key), unknown(v.Type(), e.key))
			continue
		}
		f := &fields[i]
		d.value(e.value, v.FieldByIndex(f.index), f, join(path, e.key), partial || f.inherit)
	}
	for i := range fields {
		if f := &fields[i]; f.required && !partial && n.get(f.key) == nil {
			d.add(n, join(path, f.key), "is required"+sample(f.key))
		}
	}
}

// unknown is the message about a key that a block does not have.
func unknown(t reflect.Type, key string) string {
	if t == reflect.TypeFor[operationShape]() && slices.Contains(keysOf(hostType), key) {
		return "belongs to the external system as a whole, not to one operation; set it on the adapter"
	}
	keys := keysOf(t)
	hint := meant(key, keys)
	if slices.Contains(keys, "on") && slices.Contains([]string{"true", "yes", "y"}, strings.ToLower(key)) {
		hint = "; YAML 1.1 tools turn on into true: quote it, \"on\""
	}
	return "is not a key of this block" + hint + "; allowed are " + list(keys)
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

func (d decoder) value(n *node, v reflect.Value, f *field, path string, partial bool) {
	switch shapeOf(f.typ) {
	case shapeScalar:
		if message := scalarOf(n, v, f); message != "" {
			d.add(n, path, message)
		}
	case shapeList:
		d.list(n, v, f, path, partial)
	case shapeMap:
		d.table(n, v, f, path)
	case shapeBlock:
		if f.typ.Kind() != reflect.Pointer {
			d.block(n, v, path, partial)
			return
		}
		d.optional(n, v, f, path, partial)
	}
}

// optional reads a block that may be absent, or off when its field says so.
func (d decoder) optional(n *node, v reflect.Value, f *field, path string, partial bool) {
	if f.switchable() && n.kind == scalar {
		if !n.is("off") {
			d.add(n, path, switchMessage(n))
		}
		v.SetZero()
		return
	}
	fresh := reflect.New(f.typ.Elem())
	fill(fresh.Elem())
	d.block(n, fresh.Elem(), path, partial)
	v.Set(fresh)
}

// switchMessage does not repeat the value: somebody may have put a secret where the block of a policy belongs.
func switchMessage(n *node) string {
	switch n.text {
	case "false", "False", "FALSE", "no", "No", "NO", "none", "never", "disabled", "Off", "OFF":
		return n.text + " is not how a policy is switched off; write off"
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return n.text + " is not how a policy is switched on; write a block of keys, {} for the built-in values, or off"
	}
	return n.describe() + "; expected off or a block of keys"
}

// list replaces the built-in list; an empty one stays empty.
func (d decoder) list(n *node, v reflect.Value, f *field, path string, partial bool) {
	if n.kind != sequence {
		hint := ", such as [a, b]"
		if inner := f.typ.Elem(); n.kind == mapping && inner.Kind() == reflect.Struct {
			hint = "; begin each with `- " + keysOf(inner)[0] + ":`"
		}
		d.add(n, path, n.describe()+"; expected a list"+hint)
		return
	}
	out := reflect.MakeSlice(f.typ, 0, len(n.items))
	for i, it := range n.items {
		one := *f
		one.typ = f.typ.Elem()
		value := reflect.New(one.typ).Elem()
		if one.typ.Kind() == reflect.Struct {
			fill(value)
		}
		d.value(it, value, &one, item(path, i), partial)
		out = reflect.Append(out, value)
	}
	v.Set(out)
}

// table reads a mapping whose keys are names.
func (d decoder) table(n *node, v reflect.Value, f *field, path string) {
	if n.kind != mapping {
		d.add(n, path, n.describe()+"; expected a block with a key for each"+sample(f.key))
		return
	}
	if len(n.entries) == 0 {
		d.add(n, path, "is empty; at least one is needed"+sample(f.key))
	}
	names := regexp.MustCompile(f.keys)
	v.Set(reflect.MakeMap(f.typ))
	for _, e := range n.entries {
		if !names.MatchString(e.key) {
			d.addAt(e.line, e.column, join(path, e.key), quote(e.key)+" is not a name; a name matches "+f.keys)
		}
		value := reflect.New(f.typ.Elem()).Elem()
		fill(value)
		at := *e.value
		at.line, at.column = e.line, e.column // what is missing or not a block is said where the name stands
		d.block(&at, value, join(path, e.key), false)
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}
