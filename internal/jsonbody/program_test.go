package jsonbody

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// transformed runs a program over a body and writes the result.
func transformed(t testing.TB, source, body string, most int64) (string, error) {
	t.Helper()
	p, err := Compile(source, true)
	if err != nil {
		t.Fatal(err)
	}
	value, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	result, err := p.Run(t.Context(), value, 207)
	if err != nil {
		return "", err
	}
	out, err := Encode(result, most)
	return string(out), err
}

func TestProgramsKeepTheDigitsOfNumbers(t *testing.T) {
	const body = `{"id":12345678901234567890,"price":1.10,"tiny":1E-400,"big":[9007199254740993,-0.0,1e5]}`
	for program, want := range map[string]string{
		".":                          `{"big":[9007199254740993,-0.0,1e5],"id":12345678901234567890,"price":1.10,"tiny":1E-400}`,
		"{order: {id, price}}":       `{"order":{"id":12345678901234567890,"price":1.10}}`,
		".big[0] + 1":                `9007199254740994`,
		".id * 10":                   `123456789012345678900`,
		"del(.big, .tiny)":           `{"id":12345678901234567890,"price":1.10}`,
		".price |= tostring":         `{"big":[9007199254740993,-0.0,1e5],"id":12345678901234567890,"price":"1.10","tiny":1E-400}`,
		"$status":                    `207`,
		"$ENV":                       `{}`,
		"env | length":               `0`,
		`"<a> & é 😀 \u2028"`:         "\"<a> & é 😀 \u2028\"",
		"nan":                        `null`,
		"[.big[] | select(. > 1e6)]": `[9007199254740993]`,
	} {
		if got, err := transformed(t, program, body, 1<<20); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", program, got, err, want)
		}
	}
}

func TestProgramsThatFailSayNothingOfTheBody(t *testing.T) {
	const body = `{"card":"4111111111111111","list":[41111],"inner":{"4111":1}}`
	for program, want := range map[string]string{
		"empty":                  "it yields nothing where one value is needed",
		".list[0], .card":        "it yields more than one value",
		".list[], error":         "it raised an error of its own",
		".card[]":                "it failed: cannot iterate over string",
		".card.number":           "it failed: expected an object but got string",
		".card + 1":              "it failed: cannot add string",
		".card | tonumber | .x":  "it failed: expected an object but got number",
		`"x4111" | tonumber`:     "it failed: tonumber cannot be applied to",
		".inner | .[0]":          "it failed: expected an array but got object",
		"{(.list): 1}":           "it failed: expected a string for object key but got array",
		`error("card " + .card)`: "it raised an error of its own",
		"error(.)":               "it raised an error of its own",
		"halt_error":             "it raised an error of its own",
		".card | fromjson | .a":  "it failed: expected an object but got number",
		`.card | test("(4111")`:  "it failed: invalid regular expression",
	} {
		got, err := transformed(t, program, body, 1<<20)
		if err == nil || strings.Contains(err.Error(), "4111") {
			t.Errorf("%s: %q, %v", program, got, err)
		} else if err.Error() != want {
			t.Errorf("%s: %v, want %s", program, err, want)
		}
	}
}

// What a program can do to a machine is bounded by the number of its steps, the same on every one.
func TestProgramsThatDoNotEndAreEnded(t *testing.T) {
	for _, program := range []string{"def f: f; f", "[repeat(1)]", "[range(1e12)] | length", "last(range(1e12))", "until(false; .)", "reduce range(1e12) as $i (0; . + $i)",
		"def f: 1 + f; f", `[limit(1e9; repeat("x"))] | add`} {
		if got, err := transformed(t, program, "null", 1<<20); err != errSteps {
			t.Errorf("%s: %.100s, %v", program, got, err)
		}
	}
}

func TestResultsAreBounded(t *testing.T) {
	for program, want := range map[string]string{
		"reduce range(40) as $i ([1]; [., .])":  "its result is larger than max_body", // small in memory, 10^12 when written
		`"x" * 5000`:                            "its result is larger than max_body",
		"[range(2000)]":                         "its result is larger than max_body",
		"reduce range(20000) as $i (0; [.])":    "its result is nested too deep",
		"reduce range(20000) as $i (0; {a: .})": "its result is larger than max_body",
	} {
		most := int64(4096)
		if strings.HasSuffix(want, "deep") {
			most = 1 << 20
		}
		if got, err := transformed(t, program, "null", most); err == nil || err.Error() != want {
			t.Errorf("%s: %.100s, %v", program, got, err)
		}
	}
	if got, err := transformed(t, `"x" * 98`, "null", 100); err != nil || len(got) != 100 {
		t.Errorf("at the bound: %q, %v", got, err)
	}
	if got, err := transformed(t, `"x" * 99`, "null", 100); err == nil {
		t.Errorf("past the bound: %q", got)
	}
}

func TestACallThatIsGoneEndsItsProgram(t *testing.T) {
	p, err := Compile("last(range(1000000))", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Run(ctx, nil, 0); err == nil {
		t.Error("it went on")
	}
}

func TestProgramsAreForUseByMany(t *testing.T) {
	p, err := Compile(".list |= map(. + 1) | .n = (.list | add)", false)
	if err != nil {
		t.Fatal(err)
	}
	value, err := Decode([]byte(`{"list":[1,2,3],"n":0}`))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				result, err := p.Run(context.Background(), value, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if out, err := Encode(result, 100); err != nil || string(out) != `{"list":[2,3,4],"n":9}` {
					t.Errorf("%s, %v", out, err)
				}
			}
		})
	}
	all.Wait()
	if out, _ := Encode(value, 100); string(out) != `{"list":[1,2,3],"n":0}` {
		t.Errorf("the body became %s", out)
	}
}

func TestProgramsThatCannotStandInAConfiguration(t *testing.T) {
	for program, want := range map[string]string{
		".a |":                    "is not a jq program: unexpected EOF (line 1, character 5 of it)",
		".a\n| {b: .c,}}":         `is not a jq program: unexpected token "}" (line 2, character 11 of it)`,
		"missing(1)":              "is no jq program that can stand here: function not defined: missing/1",
		`import "x" as x; .`:      "is no jq program that can stand here: modules cannot be imported",
		`include "x"; .`:          "is no jq program that can stand here: modules cannot be imported",
		"input":                   "is no jq program that can stand here: input(s)/0 is not allowed",
		"[inputs]":                "is no jq program that can stand here: input(s)/0 is not allowed",
		"debug":                   "is no jq program that can stand here: function not defined: debug/0",
		"input_filename":          "is no jq program that can stand here: function not defined: input_filename/0",
		"$status":                 "is no jq program that can stand here: variable not defined: $status",
		`get_search_list`:         "is no jq program that can stand here: function not defined: get_search_list/0",
		`module {"name": "x"}; .`: "is no jq program that can stand here: modules cannot be imported",
	} {
		if _, err := Compile(program, false); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", program, err, want)
		}
	}
}

func BenchmarkProgram(b *testing.B) {
	p, err := Compile("{order: {id: .orderId, total: (.lines | map(.quantity) | add), lines}}", false)
	if err != nil {
		b.Fatal(err)
	}
	body := orderOf(10)
	b.ReportAllocs()
	for b.Loop() {
		value, err := Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		result, err := p.Run(b.Context(), value, 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Encode(result, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// orderOf is an order of some lines, about 80 bytes each.
func orderOf(lines int) []byte {
	var list []string
	for i := range lines {
		list = append(list, fmt.Sprintf(`{"sku":"part-%06d","quantity":%d,"price":12.50,"note":"as agreed on the phone"}`, i, i+1))
	}
	return []byte(`{"orderId":"o-1","lines":[` + strings.Join(list, ",") + `]}`)
}
