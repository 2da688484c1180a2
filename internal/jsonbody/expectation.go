package jsonbody

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// expectation says what a place of a body must be: the keyword and what it asks for, never what stands there.
func expectation(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be " + strings.Join(k.Want, " or ") + ", and is " + k.Got
	case *kind.Enum:
		return "must be one of " + values(k.Want)
	case *kind.Const:
		return "must be " + values([]any{k.Want})
	case *kind.Format:
		return "must be a valid " + k.Want + " (format)"
	case *kind.Pattern:
		return "must match " + brief(k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("must have no equal items, and those at %d and %d are", k.Duplicates[0], k.Duplicates[1])
	case *kind.AnyOf:
		return "must match one of several alternatives, and matches none (anyOf)"
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			return "must match one of several alternatives, and matches more than one (oneOf)"
		}
		return "must match one of several alternatives, and matches none (oneOf)"
	case *kind.Not:
		return "matches what it must not (not)"
	case *kind.Contains:
		return "must have an item like those that contains describes"
	case *kind.MinContains:
		return fmt.Sprintf("must have at least %d items like those that contains describes", k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("must have at most %d items like those that contains describes", k.Want)
	case *kind.FalseSchema:
		return "is not allowed"
	}
	return bound(k)
}

// bound is the expectation of a keyword that compares with a number.
func bound(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members", k.Want)
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	}
	return "does not match the schema"
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return brief(r.Num().String())
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// values lists what a schema allows.
func values(list []any) string {
	words := make([]string, 0, len(list))
	for _, v := range list {
		text, err := json.Marshal(v)
		if err != nil { // it came from JSON
			continue
		}
		words = append(words, string(text))
	}
	return brief(strings.Join(words, ", "))
}

// brief shortens what fills a message.
func brief(text string) string {
	const most = 200
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
