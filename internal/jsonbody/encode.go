package jsonbody

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/itchyny/gojq"
)

var errTooLarge = errors.New("its result is larger than max_body")

// maxOutDepth is how deep a program may nest what it makes.
const maxOutDepth = 10_000

// Encode writes what a program made as JSON of at most most bytes, the members of objects sorted by name. A program can
// make a value that is small in memory, where its parts are shared, and endless when it is written out.
func Encode(value any, most int64) ([]byte, error) {
	e := encoder{most: most, out: make([]byte, 0, min(most, 1<<10))}
	if err := e.value(value, 0); err != nil {
		return nil, err
	}
	return e.out, nil
}

type encoder struct {
	out  []byte
	most int64
}

func (e *encoder) value(value any, depth int) (err error) {
	if depth > maxOutDepth {
		return errors.New("its result is nested too deep")
	}
	switch v := value.(type) {
	case map[string]any:
		err = e.object(v, depth)
	case []any:
		err = e.array(v, depth)
	default:
		err = e.scalar(v)
	}
	if err == nil && int64(len(e.out)) > e.most {
		return errTooLarge
	}
	return err
}

// scalar writes a string, a number, true, false or null. Numbers that no program calculated with keep their digits.
func (e *encoder) scalar(value any) error {
	switch v := value.(type) {
	case json.Number:
		e.out = append(e.out, v...)
		return nil
	case string:
		if int64(len(e.out)+len(v)) > e.most {
			return errTooLarge
		}
		if plain(v) {
			e.out = append(append(append(e.out, '"'), v...), '"')
			return nil
		}
	}
	text, err := gojq.Marshal(value)
	e.out = append(e.out, text...)
	return err
}

// plain reports whether a string is written as it is.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (e *encoder) array(items []any, depth int) error {
	e.out = append(e.out, '[')
	for i, item := range items {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.value(item, depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *encoder) object(object map[string]any, depth int) error {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	e.out = append(e.out, '{')
	for i, name := range names {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.scalar(name); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		if err := e.value(object[name], depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}
