// Package jsonbody works on JSON bodies: it reads them within bounds, checks them against JSON Schemas, and runs jq
// programs over them.
//
// Bodies come from strangers, schemas and programs from whoever configures an adapter. Nothing here repeats a value of
// a body in what it says of it: faults name places, keywords and types. Numbers keep their digits through all of it,
// unless a program calculates with them.
package jsonbody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of a body beside its length.
const (
	maxDepth  = 200     // of nested arrays and objects
	minValues = 100_000 // that are let through whatever the length
	perValue  = 8       // bytes for each value beyond them: a value costs tens of bytes of memory
	maxDigits = 512     // of a number
	maxPower  = 400     // of ten in a number: beyond what a double holds
)

// Decode reads a whole body. Its error says what is wrong with it, in words for the application's developer.
//
// Two members of one object with the same name are refused: what is checked here must be what the provider reads, and
// parsers do not agree on which of the two counts.
func Decode(body []byte) (any, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // some clients send a byte order mark
	if !utf8.Valid(body) {
		return nil, errors.New("it is not UTF-8")
	}
	found, err := measure(body)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, notJSON(err, len(body))
	}
	end := decoder.InputOffset()
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the JSON value that ends at byte %d", end)
	}
	if members(value) != found {
		return nil, errors.New("an object has two members with the same name")
	}
	return value, nil
}

// notJSON says where a body stops being JSON, and not what stands there.
func notJSON(err error, length int) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Offset < int64(length) {
		return fmt.Errorf("it stops being JSON at byte %d", syntax.Offset)
	}
	return errors.New("it ends before its JSON value does")
}

// measure bounds a body before memory is spent on it, and counts the members of its objects.
func measure(body []byte) (memberCount int, err error) {
	depth, values, most := 0, 1, max(minValues, len(body)/perValue)
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			i = endOfString(body, i)
		case c == '{' || c == '[':
			depth, values = depth+1, values+1
		case c == '}' || c == ']':
			depth--
		case c == ',':
			values++
		case c == ':':
			memberCount++
		case c >= '0' && c <= '9':
			end := endOfNumber(body, i)
			if tooLong(body[i:end]) {
				return 0, fmt.Errorf("the number at byte %d has more than %d characters, or an exponent beyond %d", i+1, maxDigits, maxPower)
			}
			i = end - 1
		}
		if depth > maxDepth {
			return 0, fmt.Errorf("it is nested more than %d deep", maxDepth)
		}
		if values > most {
			return 0, fmt.Errorf("it holds more than %d values", most)
		}
	}
	return memberCount, nil
}

// endOfString is the place of the quote that ends the string begun at i.
func endOfString(body []byte, i int) int {
	for i++; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}

func endOfNumber(body []byte, i int) int {
	for i < len(body) && strings.IndexByte("0123456789.eE+-", body[i]) >= 0 {
		i++
	}
	return i
}

// tooLong reports a number that costs far more to calculate with than to send.
func tooLong(number []byte) bool {
	if len(number) > maxDigits {
		return true
	}
	i := bytes.IndexAny(number, "eE")
	if i < 0 {
		return false
	}
	digits := bytes.TrimLeft(number[i+1:], "+-0")
	power, err := strconv.Atoi(string(digits))
	return err == nil && power > maxPower || len(digits) > 3
}

// members counts those of all objects in a value.
func members(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		n = len(v)
		for _, inner := range v {
			n += members(inner)
		}
	case []any:
		for _, inner := range v {
			n += members(inner)
		}
	}
	return n
}

// Typed reports whether a Content-Type is one of JSON: application/json, text/json, or one that ends in +json (RFC 6839).
func Typed(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}
