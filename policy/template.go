package policy

import (
	"fmt"
	"strings"
)

// template is signed content, parsed: literal text and places to fill.
type template []templatePart

type templatePart struct {
	literal string
	place   place
	field   string // of placeHeader
}

type place uint8

const (
	placeNone place = iota
	placeBody
	placeTimestamp
	placeMethod
	placePath
	placeQuery
	placeKey
	placeID
	placeHeader
)

var places = map[string]place{"body": placeBody, "timestamp": placeTimestamp, "method": placeMethod, "path": placePath,
	"query": placeQuery, "key": placeKey, "id": placeID}

// parseTemplate reads text with {places}. A brace that opens none is a fault: a typo must not be signed as text.
func parseTemplate(text string) (template, error) {
	var t template
	for text != "" {
		literal, rest, open := strings.Cut(text, "{")
		if strings.Contains(literal, "}") {
			return nil, fmt.Errorf("has a closing brace that nothing opened")
		}
		if literal != "" {
			t = append(t, templatePart{literal: literal})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("has a brace that is not closed")
		}
		part, err := parsePlace(name)
		if err != nil {
			return nil, err
		}
		t, text = append(t, part), after
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("is empty; nothing would be signed")
	}
	return t, nil
}

func parsePlace(name string) (templatePart, error) {
	if field, ok := strings.CutPrefix(name, "header:"); ok && validFieldName(field) {
		return templatePart{place: placeHeader, field: field}, nil
	}
	if p, ok := places[name]; ok {
		return templatePart{place: p}, nil
	}
	return templatePart{}, fmt.Errorf("holds {%s}, which is not one of {body}, {timestamp}, {method}, {path}, {query}, {key}, {id}, {header:Name}", name)
}

// uses reports whether p is filled anywhere.
func (t template) uses(p place) bool {
	for _, part := range t {
		if part.place == p {
			return true
		}
	}
	return false
}
