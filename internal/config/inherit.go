package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/policy"
)

// merge lays one layer over another, key by key. A block that is tagged merge:"replace", a list, a scalar and the word
// off replace what is below them; a block over the word off starts again from the built-in values.
func merge(t reflect.Type, below, above *node) *node {
	switch {
	case above == nil:
		return below
	case below == nil || below.kind != mapping || above.kind != mapping:
		return above
	}
	out := &node{kind: mapping, line: above.line, column: above.column}
	for _, e := range below.entries {
		if over := above.get(e.key); over != nil {
			e.value = mergeField(t, e.key, e.value, over)
		}
		out.entries = append(out.entries, e)
	}
	for _, e := range above.entries {
		if below.get(e.key) == nil {
			out.entries = append(out.entries, e)
		}
	}
	return out
}

func mergeField(t reflect.Type, key string, below, above *node) *node {
	for _, f := range fieldsOf(t) {
		if f.key != key || f.replace || shapeOf(f.typ) != shapeBlock {
			continue
		}
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		return merge(inner, below, above)
	}
	return above
}

// pick is the part of a mapping that holds the keys of t.
func pick(t reflect.Type, n *node) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	keys := keysOf(t)
	out := &node{kind: mapping, line: n.line, column: n.column}
	for _, e := range n.entries {
		if slices.Contains(keys, e.key) {
			out.entries = append(out.entries, e)
		}
	}
	return out
}

// scope is one adapter or operation while its policies are resolved.
type scope struct {
	path   string // adapters.sales-system, or adapters.sales-system.operations[0]
	merged *node  // all layers; nil when none sets anything
	home   *node  // where to point at when no layer sets what a fault is about
}

// settle decodes the effective policies of a scope, checks their combinations, and loads the files they name.
func (s *scope) settle(files *jsonbody.Files, faults, warnings *collector) *policy.Settings {
	settings := new(policy.Settings)
	v := reflect.ValueOf(settings).Elem()
	fill(v)
	own := &collector{file: faults.file}
	if s.merged != nil {
		decoder{own}.block(s.merged, v, s.path, false)
	}
	report := &report{scope: s, values: own, faults: faults, warnings: warnings}
	settings.Check(report)
	settings.Load(files, report)
	faults.list = append(faults.list, own.list...)
	return settings
}

// report places what policy.Settings.Check finds in the file.
type report struct {
	scope    *scope
	values   *collector // faults of single values, in the same scope
	faults   *collector
	warnings *collector
}

// Fault implements policy.Report. A combination is not judged when one of its values is at fault itself: the built-in
// value that stands in for it would be blamed.
func (r *report) Fault(path, message string) {
	if full := join(r.scope.path, path); !r.values.touches(full) {
		r.faults.add(r.scope.at(path), full, message)
	}
}

// Warn implements policy.Report. Nothing is said about deadlines and retries that nobody wrote: the built-in ones are
// a starting point, and a first document should pass without a word.
func (r *report) Warn(path, message string) {
	about := strings.HasPrefix(path, "retry") || strings.HasPrefix(path, "timeout")
	if about && r.scope.merged.get("retry") == nil && r.scope.merged.get("timeout") == nil {
		return
	}
	r.warnings.add(r.scope.at(path), join(r.scope.path, path), message)
}

// at is the node that set a path, else the nearest block around it, else the adapter or operation.
func (s *scope) at(path string) *node {
	if found, depth := s.merged.nearest(strings.Split(path, ".")); depth > 0 {
		return found
	}
	return s.home
}
