package config

import (
	"reflect"
	"slices"
)

const notYet = "not available yet"

// Unavailable lists what the document asks for and this version cannot do, in file order. validate accepts it, so that
// a document can be prepared; run must refuse it, because doing without would be worse than not starting.
func (d *Document) Unavailable() []Fault {
	c := &collector{file: d.File}
	var top documentShape
	fill(reflect.ValueOf(&top).Elem())
	decoder{&collector{}}.block(d.root, reflect.ValueOf(&top).Elem(), "", false)
	top.Adapters = nil
	reset := reflect.ValueOf(&top.Defaults).Elem() // looked at through the adapters that inherit them
	reset.SetZero()
	(&availability{collector: c, locate: func(path []string) *node { n, _ := d.root.nearest(path); return n }}).block(reflect.ValueOf(top), nil, "")
	for _, a := range d.Adapters {
		d.unavailable(c, d.scopes[a.Name], reflect.ValueOf(*a.Settings))
		for _, op := range a.Operations {
			d.unavailable(c, d.scopes[a.Name+" "+op.Name], reflect.ValueOf(*op.Settings))
		}
	}
	return ordered(c.list)
}

func (d *Document) unavailable(c *collector, s *scope, v reflect.Value) {
	locate := func(path []string) *node {
		if n, depth := s.merged.nearest(path); depth > 0 {
			return n
		}
		return s.home
	}
	(&availability{collector: c, locate: locate}).block(v, nil, s.path)
}

// availability walks values by their tags and reports those that are not implemented.
type availability struct {
	*collector
	locate func(path []string) *node
}

func (a *availability) block(v reflect.Value, keys []string, prefix string) {
	for _, f := range fieldsOf(v.Type()) {
		value, path := v.FieldByIndex(f.index), append(slices.Clone(keys), f.key)
		full := join(prefix, f.key)
		if value.Kind() == reflect.Pointer && value.IsNil() {
			continue
		}
		if asked := postponed(value, &f); asked != "" {
			a.add(a.locate(path), full, asked)
			continue
		}
		if value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		if shapeOf(f.typ) == shapeBlock {
			a.block(value, path, full)
		}
	}
}

// postponed is the message about a value that its tag puts off, "" for one that works.
func postponed(v reflect.Value, f *field) string {
	if len(f.later) == 0 {
		return ""
	}
	if f.later[0] == "*" {
		inert := v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 || v.Kind() == reflect.String && (v.String() == "off" || v.String() == f.builtin)
		if inert {
			return ""
		}
		return notYet
	}
	if text := show(v); slices.Contains(f.later, text) {
		return text + " is " + notYet
	}
	return ""
}
