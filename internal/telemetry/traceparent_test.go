package telemetry

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

const (
	traceA = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanA  = "00f067aa0ba902b7"
)

// The cases are those of the specification's text and of its conformance suite (test_trace_context).
func TestTraceparentIsReadExactly(t *testing.T) {
	for text, flags := range map[string]trace.TraceFlags{
		"00-" + traceA + "-" + spanA + "-00":                 0,
		"00-" + traceA + "-" + spanA + "-01":                 1,
		"00-" + traceA + "-" + spanA + "-03":                 3,
		"00-" + traceA + "-" + spanA + "-09":                 1, // flags that are not known yet
		"00-" + traceA + "-" + spanA + "-ff":                 3,
		" \t00-" + traceA + "-" + spanA + "-01\t ":           1,
		"01-" + traceA + "-" + spanA + "-01":                 1,
		"cc-" + traceA + "-" + spanA + "-01":                 1,
		"cc-" + traceA + "-" + spanA + "-01-what-comes-then": 1,
		"cc-" + traceA + "-" + spanA + "-01-":                1,
		"fe-" + traceA + "-" + spanA + "-00":                 0,
	} {
		c, ok := ParseTraceparent(text)
		if !ok || c.Trace.String() != traceA || c.Span.String() != spanA || c.Flags != flags {
			t.Errorf("%q is %+v, %v", text, c, ok)
		}
		if want := "00-" + traceA + "-" + spanA + "-0" + string(rune('0'+flags)); c.String() != want || Canonical(strings.Trim(text, " \t")) != (want == strings.Trim(text, " \t")) {
			t.Errorf("%q is sent as %q, unchanged: %v", text, c, Canonical(strings.Trim(text, " \t")))
		}
		if TraceIDOf(c.String()) != traceA || SpanIDOf(c.String()) != spanA {
			t.Errorf("the parts of %q are %q and %q", c, TraceIDOf(c.String()), SpanIDOf(c.String()))
		}
	}
}

func TestTraceparentThatDeviatesIsNone(t *testing.T) {
	zeros := strings.Repeat("0", 32)
	for _, text := range []string{"", "x", strings.Repeat("x", 55), strings.Repeat("-", 55),
		"ff-" + traceA + "-" + spanA + "-01",
		"ff-" + traceA + "-" + spanA + "-01-more",
		"00-" + zeros + "-" + spanA + "-01",
		"00-" + traceA + "-" + zeros[:16] + "-01",
		"00-" + strings.ToUpper(traceA) + "-" + spanA + "-01",
		"00-" + traceA + "-" + strings.ToUpper(spanA) + "-01",
		"00-" + traceA + "-" + spanA + "-0A",
		"CC-" + traceA + "-" + spanA + "-01",
		"00-" + traceA + "-" + spanA + "-01-what-comes-then",
		"00-" + traceA + "-" + spanA + "-01.",
		"cc-" + traceA + "-" + spanA + "-01.what-comes-then",
		"00-" + traceA[:31] + "." + "-" + spanA + "-01",
		"00-" + traceA + "-" + spanA[:15] + ".-01",
		"00-" + traceA + "-" + spanA + "-.0",
		"00-" + traceA + "-" + spanA + "-0",
		"00-" + traceA + "-" + spanA + "-001",
		"00-" + traceA + "0-" + spanA + "-01",
		"00-" + traceA[1:] + "-" + spanA + "-01",
		"0-" + traceA + "-" + spanA + "-01",
		".0-" + traceA + "-" + spanA + "-01",
		"00_" + traceA + "-" + spanA + "-01",
		"00-" + traceA + "_" + spanA + "-01",
		"00-" + traceA + "-" + spanA + "_01",
		"00-" + traceA + "-" + spanA + "-01,00-" + traceA + "-" + spanA + "-01",
	} {
		if c, ok := ParseTraceparent(text); ok || c != (TraceContext{}) {
			t.Errorf("%q is %+v", text, c)
		}
	}
}

func TestTracestateIsOneListOrNone(t *testing.T) {
	long := "a=" + strings.Repeat("x", 126) // 128 characters
	thirtyTwo := strings.TrimSuffix(strings.Repeat("a=1,", 32), ",")
	for name, c := range map[string]struct {
		values []string
		want   string
	}{
		"none":                      {nil, ""},
		"empty":                     {[]string{"", " ", ","}, ""},
		"one":                       {[]string{"foo=1"}, "foo=1"},
		"several fields":            {[]string{"foo=1", "bar=2,rojo=3", ""}, "foo=1,bar=2,rojo=3"},
		"white space":               {[]string{"foo=1 \t , \t bar=2, ,baz=3"}, "foo=1,bar=2,baz=3"},
		"a value with spaces in it": {[]string{"foo=a b"}, "foo=a b"},
		"the same key twice":        {[]string{"foo=1,foo=1"}, "foo=1,foo=1"},
		"every character of a key":  {[]string{"abcdefghijklmnopqrstuvwxyz0123456789_-*/=1"}, "abcdefghijklmnopqrstuvwxyz0123456789_-*/=1"},
		"a digit first":             {[]string{"0foo=1"}, "0foo=1"},
		"tenant and system":         {[]string{"fw529a3039@dt=1"}, "fw529a3039@dt=1"},
		"longest key":               {[]string{strings.Repeat("z", 256) + "=1"}, strings.Repeat("z", 256) + "=1"},
		"longest tenant":            {[]string{strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"}, strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"},
		"32 members":                {[]string{thirtyTwo}, thirtyTwo},
		"33 members":                {[]string{thirtyTwo + ",b=1"}, ""},
		"33 members in two fields":  {[]string{thirtyTwo, "b=1"}, ""},
		"no value":                  {[]string{"foo"}, ""},
		"an empty value":            {[]string{"foo="}, ""},
		"no key":                    {[]string{"=1"}, ""},
		"a bad one among good":      {[]string{"foo=1,bar"}, ""},
		"a space in a key":          {[]string{"foo =1"}, ""},
		"capitals in a key":         {[]string{"FOO=1"}, ""},
		"a dot in a key":            {[]string{"foo.bar=1"}, ""},
		"two at":                    {[]string{"foo@bar@baz=1"}, ""},
		"at first":                  {[]string{"@foo=1"}, ""},
		"at last":                   {[]string{"foo@=1"}, ""},
		"a sign first":              {[]string{"_foo=1"}, ""},
		"key too long":              {[]string{strings.Repeat("z", 257) + "=1"}, ""},
		"tenant too long":           {[]string{strings.Repeat("t", 242) + "@v=1"}, ""},
		"system too long":           {[]string{"t@" + strings.Repeat("v", 15) + "=1"}, ""},
		"value too long":            {[]string{"foo=" + strings.Repeat("v", 257)}, ""},
		"an equals sign in a value": {[]string{"foo=bar=baz"}, ""},
		"a control character":       {[]string{"foo=a\x01b"}, ""},
		"not ASCII":                 {[]string{"foo=ä"}, ""},
		"512 characters":            {[]string{long + "," + long + "," + long + "," + long[:125]}, long + "," + long + "," + long + "," + long[:125]},
		"513: the last goes":        {[]string{long + "," + long + "," + long + "," + long[:126]}, long + "," + long + "," + long},
		"513: a long one goes first": {[]string{"b=" + strings.Repeat("y", 127) + "," + long + "," + long + "," + long},
			long + "," + long + "," + long},
	} {
		if got := JoinTracestate(c.values...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzTraceContext(f *testing.F) {
	f.Add("00-"+traceA+"-"+spanA+"-01", "foo=1,bar=2")
	f.Fuzz(func(t *testing.T, parent, state string) {
		if c, ok := ParseTraceparent(parent); ok {
			again, ok := ParseTraceparent(c.String())
			if !ok || again != c {
				t.Errorf("%q became %q", parent, c)
			}
		}
		list := JoinTracestate(state)
		if len(list) > maxTracestateLength || JoinTracestate(list) != list {
			t.Errorf("%q became %q", state, list)
		}
	})
}
