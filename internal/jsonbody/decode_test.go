package jsonbody

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBodiesThatAreNotRead(t *testing.T) {
	for name, c := range map[string]struct{ body, says string }{
		"nothing":                        {"", "it ends before its JSON value does"},
		"cut off":                        {`{"a":`, "it ends before its JSON value does"},
		"cut off in a string":            {`{"a":"secret`, "it ends before its JSON value does"},
		"not JSON":                       {`{"a":secret}`, "it stops being JSON at byte 6"},
		"two values":                     {`{} {}`, "something follows the JSON value that ends at byte 2"},
		"not UTF-8":                      {"{\"a\":\"\xff\"}", "it is not UTF-8"},
		"a member twice":                 {`{"a":1,"b":{"c":1,"c":2}}`, "an object has two members with the same name"},
		"a member twice, escaped":        {`{"a":1,"\u0061":2}`, "an object has two members with the same name"},
		"too deep":                       {strings.Repeat("[", 201) + strings.Repeat("]", 201), "it is nested more than 200 deep"},
		"a deep one that is cut":         {strings.Repeat(`{"a":`, 1<<16), "it is nested more than 200 deep"},
		"too many values":                {"[" + strings.Repeat("0,", 120_000) + "0]", "it holds more than 100000 values"},
		"too many empty arrays":          {"[" + strings.Repeat("[],", 120_000) + "[]]", "it holds more than 100000 values"},
		"a number with a long exponent":  {`[1e1000000000]`, "the number at byte 2 has more than 512 characters, or an exponent beyond 400"},
		"an exponent below zero":         {`[1.5E-99999]`, "the number at byte 2 has more than 512 characters, or an exponent beyond 400"},
		"the least exponent that is":     {`[1e-401]`, "the number at byte 2 has more than 512 characters, or an exponent beyond 400"},
		"a number with many digits":      {`{"a":` + strings.Repeat("9", 513) + `}`, "the number at byte 6 has more than 512 characters, or an exponent beyond 400"},
		"a quotation mark that is never": {`{"a\":1}`, "it ends before its JSON value does"},
	} {
		value, err := Decode([]byte(c.body))
		if err == nil || err.Error() != c.says {
			t.Errorf("%s: %v and %v, want %s", name, value, err, c.says)
		}
	}
}

func TestBodiesThatAreRead(t *testing.T) {
	for name, body := range map[string]string{
		"at the bounds":             strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"null":                      "null",
		"white space around":        " \r\n\t{\"a\" : [ 1 , 2 ] } \n",
		"marks inside of strings":   `{"{[,:\"\\":"1e9999 [[[[ ,,,, ::::","b":"\\"}`,
		"the same name elsewhere":   `{"a":{"a":1},"b":[{"a":1},{"a":2}]}`,
		"an exponent with zeros":    `[1e000005,1e+007,1e400,1E-0400]`,
		"escapes and other scripts": `{"\u00e9":"é","e\u0301":"😀 \ud83d\ude00"}`,
		"many values in a long one": "[" + strings.Repeat(`"12345678",`, 200_000) + "0]",
	} {
		if _, err := Decode([]byte(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, err := Decode([]byte("\ufeff{}")); err != nil || len(v.(map[string]any)) != 0 {
		t.Errorf("behind a byte order mark: %v, %v", v, err)
	}
}

func TestTypesOfJSON(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/problem+json": true, "application/vnd.api+json": true, "text/json": true,
		"": false, "text/plain": false, "application/x-ndjson": false, "application/jsonp": false, "application/json;;": false, "json": false,
	} {
		if Typed(contentType) != want {
			t.Errorf("%q: %v", contentType, !want)
		}
	}
}

// FuzzDecode: what is read is JSON also for encoding/json, and comes back the same from Encode.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{`{"a":[1,2.50,"x",null,true]}`, `{"a":1,"a":2}`, `[1e999]`, `"\ud800"`, "[[[[", `{"a\"b":{}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := Decode(body)
		if err != nil {
			return
		}
		if !json.Valid(trimmed(body)) {
			t.Fatalf("%q was read", body)
		}
		out, err := Encode(value, 1<<20)
		if err != nil {
			return // it has grown, by its escapes
		}
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("%q became %q: %v", body, out, err)
		}
		if twice, err := Encode(again, 1<<20); err != nil || string(twice) != string(out) {
			t.Fatalf("%q became %q: %v", out, twice, err)
		}
	})
}

func trimmed(body []byte) []byte { return []byte(strings.TrimPrefix(string(body), "\ufeff")) }
