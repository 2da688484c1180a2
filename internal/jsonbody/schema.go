package jsonbody

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

// Schema is a compiled JSON Schema, of draft 2020-12 unless it names another. It may be used by many at once.
type Schema struct{ compiled *jsonschema.Schema }

// MaxViolations is how many violations are listed of one body.
const MaxViolations = 50

// Check returns the first violations of a decoded body, in the order of their pointers, and how many there are.
func (s *Schema) Check(value any) (list []problem.Violation, total int) {
	found := (*jsonschema.ValidationError)(nil)
	if err := s.compiled.Validate(value); !errors.As(err, &found) {
		return nil, 0
	}
	list = violations(found, nil)
	total = len(list)
	if total >= maxGathered {
		total = max(total, places(found))
	}
	list = sorted(list)
	if total < maxGathered {
		total = len(list)
	}
	return list[:min(len(list), MaxViolations)], total
}

// maxGathered is how many violations of one body are worded, before the first are chosen: a small body can have very many.
const maxGathered = 1000

// places counts what is wrong without looking at it.
func places(e *jsonschema.ValidationError) int {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.PropertyNames:
		return 1
	}
	n := 0
	for _, cause := range e.Causes {
		n += places(cause)
	}
	return max(n, 1)
}

// sorted orders violations and leaves out what is said twice, by two branches of a schema.
func sorted(list []problem.Violation) []problem.Violation {
	slices.SortFunc(list, func(a, b problem.Violation) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Detail, b.Detail))
	})
	return slices.Compact(list)
}

// violations adds those of an error and of what caused it.
func violations(e *jsonschema.ValidationError, list []problem.Violation) []problem.Violation {
	if len(list) >= maxGathered {
		return list
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return each(list, e, k.Missing, "is required")
	case *kind.DependentRequired:
		return each(list, e, k.Missing, "is required beside "+brief(k.Prop))
	case *kind.Dependency:
		return each(list, e, k.Missing, "is required beside "+brief(k.Prop))
	case *kind.AdditionalProperties:
		return each(list, e, k.Properties, "is not allowed (additionalProperties)")
	case *kind.PropertyNames:
		return each(list, e, []string{k.Property}, "has a name that is not allowed (propertyNames)")
	case *kind.AnyOf, *kind.OneOf:
		return append(append(list, at(e, expectation(e.ErrorKind)+choices(e))), nearest(e)...)
	case *kind.Not, *kind.Contains, *kind.MinContains, *kind.MaxContains:
		return append(list, at(e, expectation(e.ErrorKind)))
	}
	if len(e.Causes) == 0 {
		return append(list, at(e, expectation(e.ErrorKind)))
	}
	for _, cause := range e.Causes {
		list = violations(cause, list)
	}
	return list
}

// choices lists what the alternatives ask for that are ruled out by one thing at the very place.
func choices(e *jsonschema.ValidationError) string {
	var asked []string
	for _, alternative := range e.Causes {
		if inner := violations(alternative, nil); len(inner) == 1 && inner[0].Pointer == pointer(e.InstanceLocation) {
			asked = append(asked, inner[0].Detail)
		}
	}
	if len(asked) == 0 {
		return ""
	}
	return ": " + brief(strings.Join(asked, "; "))
}

// nearest are the violations of that alternative which the body comes closest to, as far as they lie inside of it: the
// alternative was chosen by its type or its mark then.
func nearest(e *jsonschema.ValidationError) (best []problem.Violation) {
	own := pointer(e.InstanceLocation)
	for _, alternative := range e.Causes {
		inner := violations(alternative, nil)
		if slices.ContainsFunc(inner, func(v problem.Violation) bool { return v.Pointer == own }) {
			continue
		}
		if best == nil || len(inner) < len(best) {
			best = inner
		}
	}
	return best
}

func at(e *jsonschema.ValidationError, detail string) problem.Violation {
	return problem.Violation{Pointer: pointer(e.InstanceLocation), Detail: detail}
}

// each adds a violation for each of some members of the object the error is about.
func each(list []problem.Violation, e *jsonschema.ValidationError, names []string, detail string) []problem.Violation {
	for _, name := range names {
		list = append(list, problem.Violation{Pointer: pointer(append(slices.Clone(e.InstanceLocation), name)), Detail: detail})
	}
	return list
}

// maxPointer is the longest pointer that is told, in bytes; names in a body can be as long as it.
const maxPointer = 256

var escapeToken = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is a JSON pointer (RFC 6901).
func pointer(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		b.WriteString(escapeToken.Replace(token))
		if b.Len() > maxPointer {
			return strings.ToValidUTF8(b.String()[:maxPointer], "") + "…"
		}
	}
	return b.String()
}

// notASchema says why a file is not a schema, and where.
func notASchema(err error) error {
	if invalid := (*jsonschema.SchemaValidationError)(nil); errors.As(err, &invalid) {
		if found := (*jsonschema.ValidationError)(nil); errors.As(invalid.Err, &found) {
			if list := sorted(violations(found, nil)); len(list) > 0 {
				v := list[len(list)-1] // the deepest: what is above it only follows
				return fmt.Errorf("is not a JSON Schema: %s %s", local(invalid.URL)+v.Pointer, v.Detail)
			}
		}
	}
	return fmt.Errorf("is not a JSON Schema: %s", local(err.Error()))
}

// local takes the names of files to each other out of a message.
func local(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, scheme+":///", ""), "\n", " ")
}

// lineOf says where a file stops being JSON.
func lineOf(content []byte, err error) string {
	syntax := (*json.SyntaxError)(nil)
	if !errors.As(err, &syntax) {
		return ""
	}
	before := content[:max(0, min(int(syntax.Offset)-1, len(content)))]
	return fmt.Sprintf(" (line %d, column %d)", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'))
}
