package policy

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/wire"
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
	placeStatus
)

var places = map[string]place{"body": placeBody, "timestamp": placeTimestamp, "method": placeMethod, "path": placePath,
	"query": placeQuery, "key": placeKey, "id": placeID}

const (
	requestPlaces  = "{body}, {timestamp}, {method}, {path}, {query}, {key}, {id}, {header:Name}"
	responsePlaces = "{body}, {timestamp}, {status}, {id}, {header:Name} of the response, {method}, {path}, {query}, {key} of the call"
)

// parseTemplate reads text with {places}. A brace that opens none is a fault: a typo must not be signed as text.
func parseTemplate(text string) (template, error) { return parsePlaces(text, requestPlaces) }

// parseResponseTemplate reads the content of a signed response.
func parseResponseTemplate(text string) (template, error) { return parsePlaces(text, responsePlaces) }

func parsePlaces(text, allowed string) (template, error) {
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
		part, known := parsePlace(name, allowed)
		if !known {
			return nil, fmt.Errorf("holds {%s}, which is not one of %s", name, allowed)
		}
		t, text = append(t, part), after
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("is empty; nothing would be signed")
	}
	return t, nil
}

func parsePlace(name, allowed string) (part templatePart, known bool) {
	if field, ok := strings.CutPrefix(name, "header:"); ok && validFieldName(field) {
		return templatePart{place: placeHeader, field: field}, true
	}
	if name == "status" && allowed == responsePlaces {
		return templatePart{place: placeStatus}, true
	}
	p, known := places[name]
	return templatePart{place: p}, known
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

// filling is what the places of a template are filled with.
type filling struct {
	x             *Exchange
	timestamp, id string
	body          []byte
	request       signature.Request // as it is sent
	response      *wire.Response    // nil: the request is signed
}

// sum appends the MAC of the filled template to sum.
func (t template) sum(key *signature.MAC, in *filling, sum []byte) []byte {
	h := key.Begin()
	for i := range t {
		if t[i].place == placeBody {
			_, _ = h.Write(in.body)
			continue
		}
		_, _ = io.WriteString(h, in.text(&t[i]))
	}
	return key.End(h, sum)
}

func (in *filling) text(p *templatePart) string {
	switch p.place {
	case placeTimestamp:
		return in.timestamp
	case placeMethod:
		return in.request.Method
	case placePath:
		return in.request.Path()
	case placeQuery:
		return in.request.Query()
	case placeKey:
		return in.x.Key.Value
	case placeID:
		return in.id
	case placeStatus:
		return strconv.Itoa(in.response.Status)
	case placeHeader:
		return in.header(p.field)
	}
	return p.literal
}

// header is the first line of a field, or what the engine makes of it: Host is in no list of fields.
func (in *filling) header(name string) string {
	if in.response != nil {
		return in.response.Fields.Get(name)
	}
	if in.request.Fields.Has(name) {
		return in.request.Fields.Get(name)
	}
	value, _ := in.request.Field(name)
	return value
}
