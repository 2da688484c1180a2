package policy

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/fsm-integrations/sidecar/internal/problem"
)

const orderBody = `{"orderId":"A-1","n":12345678901234567890,"exact":1.0,"ok":true,"null":null,"empty":"",
	"list":[{"id":7},"two"],"a/b":"slash","m~n":"tilde","~1":"both","nested":{"x":{"y":"deep"}},"":"root member"}`

func keyCall(t *testing.T) *Exchange {
	x := testExchange(t, "POST", "/orders/7?src=web&empty=&e=%41", orderBody)
	x.Tenant, x.User = "acme", "u-1"
	x.Request.Fields.Add("X-Order", "77")
	return x
}

func TestBodyPointersFindScalars(t *testing.T) {
	for pointer, want := range map[string]string{
		"/orderId": "sA-1", "/n": "n12345678901234567890", "/exact": "n1.0", "/ok": "btrue", "/list/0/id": "n7", "/list/1": "stwo",
		"/a~1b": "sslash", "/m~0n": "stilde", "/~01": "sboth", "/nested/x/y": "sdeep", "/": "sroot member",
		"/null": "", "/empty": "", "/list": "", "/nested": "", "/absent": "", "/list/2": "", "/list/-": "", "/list/-1": "",
		"/list/x": "", "/orderId/0": "", "": "",
	} {
		got, found := bodyValue([]byte(orderBody), pointer)
		if found != (want != "") || found && got != want {
			t.Errorf("%q is %q, %v; want %q", pointer, got, found, want)
		}
	}
}

func TestAScalarBodyIsItsOwnValue(t *testing.T) {
	for body, want := range map[string]string{`"x"`: "sx", `5`: "n5", `false`: "bfalse", `null`: "", `{}`: "", ``: "", `{"a":`: "", `text`: ""} {
		if got, found := bodyValue([]byte(body), ""); found != (want != "") || found && got != want {
			t.Errorf("%q is %q, %v; want %q", body, got, found, want)
		}
	}
}

func TestAKeyIsMadeFromEachPart(t *testing.T) {
	for part, change := range map[string]func(*Exchange){
		"tenant":         func(x *Exchange) { x.Tenant = "other" },
		"user":           func(x *Exchange) { x.User = "other" },
		"method":         func(x *Exchange) { x.Request.Method = "PUT" },
		"path":           func(x *Exchange) { x.Target = "/orders/8?src=web&e=%41" },
		"query:src":      func(x *Exchange) { x.Request.Target = "/orders/7?src=app" },
		"query:e":        func(x *Exchange) { x.Request.Target = "/orders/7?e=A" },
		"header:x-order": func(x *Exchange) { x.Request.Fields.Set("X-Order", "78") },
		"body:/orderId":  func(x *Exchange) { x.Request.Body.Bytes = []byte(`{"orderId":"A-2"}`) },
		"body:/n":        func(x *Exchange) { x.Request.Body.Bytes = []byte(`{"n":"12345678901234567890"}`) },
	} {
		c := &Idempotency{KeyFrom: []string{part}}
		if !validKeyPart(part) {
			t.Errorf("%s is not valid", part)
		}
		first, ok1 := c.derive(keyCall(t))
		again, ok2 := c.derive(keyCall(t))
		x := keyCall(t)
		change(x)
		other, ok3 := c.derive(x)
		if !ok1 || !ok2 || !ok3 || first != again || first == other || !validKey(first) {
			t.Errorf("%s: %q %v, %q %v, then %q %v", part, first, ok1, again, ok2, other, ok3)
		}
	}
}

func TestPartsDoNotRunIntoEachOther(t *testing.T) {
	c := &Idempotency{KeyFrom: []string{"tenant", "user"}}
	a, b := keyCall(t), keyCall(t)
	a.Tenant, a.User = "ab", "c"
	b.Tenant, b.User = "a", "bc"
	first, _ := c.derive(a)
	second, _ := c.derive(b)
	if first == second {
		t.Error("ab+c and a+bc make the same key")
	}
}

func TestAMissingPartMakesNoKey(t *testing.T) {
	for _, part := range []string{"query:absent", "query:empty", "header:Absent", "body:/absent", "body:/null"} {
		c := &Idempotency{Header: "X-Idempotency-Key", KeyFrom: []string{"tenant", part}}
		key, err := c.findKey(keyCall(t))
		if err != nil || key.Source != KeyFresh || uuid.Validate(key.Value) != nil {
			t.Errorf("%s: %+v, %v; want a fresh key", part, key, err)
		}
		c.Required = true
		if _, err := c.findKey(keyCall(t)); kindOf(err) != problem.KeyRequired {
			t.Errorf("%s, required: %v", part, err)
		}
	}
}

func TestKeyPartsAreChecked(t *testing.T) {
	for part, want := range map[string]bool{"tenant": true, "body:": true, "body:/a": true, "query:a": true, "header:X-A": true,
		"": false, "tenant:x": false, "body": false, "body:a": false, "query:": false, "query": false, "header:": false, "header:a b": false, "cookie:x": false} {
		if validKeyPart(part) != want {
			t.Errorf("%q valid: %v", part, !want)
		}
	}
}

func TestTheApplicationsKeyComesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		want   string
		kind   problem.Kind
	}{
		"the configured field":           {[]string{"x-provider-key", "a", "Idempotency-Key", "b"}, "a", ""},
		"the standard field":             {[]string{"Idempotency-Key", "b", "X-Idempotency-Key", "c"}, "b", ""},
		"the common field":               {[]string{"X-Idempotency-Key", "c"}, "c", ""},
		"a structured string":            {[]string{"Idempotency-Key", `"8e03978e-40d5-43e8-bc93-6894a57f9324"`}, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		"a structured string with marks": {[]string{"Idempotency-Key", `"a\"b\\c"`}, `a"b\c`, ""},
		"the longest":                    {[]string{"Idempotency-Key", strings.Repeat("k", 255)}, strings.Repeat("k", 255), ""},
		"too long":                       {[]string{"Idempotency-Key", strings.Repeat("k", 256)}, "", problem.InvalidRequest},
		"empty":                          {[]string{"Idempotency-Key", ""}, "", problem.InvalidRequest},
		"an empty structured string":     {[]string{"Idempotency-Key", `""`}, "", problem.InvalidRequest},
		"with a space":                   {[]string{"Idempotency-Key", "a b"}, "", problem.InvalidRequest},
		"not ASCII":                      {[]string{"Idempotency-Key", "ü"}, "", problem.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			i := &Idempotency{Header: "X-Provider-Key", KeyFrom: []string{"tenant"}, Required: true}
			x := keyCall(t)
			for n := 0; n < len(c.fields); n += 2 {
				x.Request.Fields.Add(c.fields[n], c.fields[n+1])
			}
			key, err := i.findKey(x)
			if kindOf(err) != c.kind || key.Value != c.want || err == nil && key.Source != KeyApplication {
				t.Errorf("%+v, %v", key, err)
			}
		})
	}
}

func TestTheKeyIsSentInTheProvidersFieldOnly(t *testing.T) {
	for format, want := range map[string]string{"raw": `a"b\c`, "structured": `"a\"b\\c"`} {
		x := keyCall(t)
		x.Request.Fields.Add("idempotency-key", "old")
		x.Request.Fields.Add("X-Idempotency-Key", "old")
		x.Key.Value = `a"b\c`
		(&Idempotency{Header: "X-Provider-Key", Format: format}).put(x)
		f := x.Request.Fields
		if f.Get("X-Provider-Key") != want || f.Has("Idempotency-Key") || f.Has("X-Idempotency-Key") {
			t.Errorf("%s: %v", format, f)
		}
		if back := unquote(want); format == "structured" && back != x.Key.Value {
			t.Errorf("%s is read back as %s", want, back)
		}
	}
}

func FuzzBodyPointer(f *testing.F) {
	f.Add([]byte(orderBody), "/list/0/id")
	f.Add([]byte(`[[[]]]`), "/0/0/0")
	f.Add([]byte(`{"a~b":1}`), "/a~0b")
	f.Add([]byte(`"x"`), "")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		if !validKeyPart("body:" + name) {
			return
		}
		value, found := bodyValue(body, name)
		again, foundAgain := bodyValue(body, name)
		if value != again || found != foundAgain {
			t.Errorf("%q twice: %q %v, %q %v", name, value, found, again, foundAgain)
		}
		if found && (len(value) < 2 || !strings.ContainsAny(value[:1], "snb")) {
			t.Errorf("%q found %q, which does not say its type", name, value)
		}
	})
}

func TestAByteOrderMarkDoesNotHideTheKey(t *testing.T) {
	if value, found := bodyValue([]byte("\ufeff{\"orderId\": \"A1\"}"), "/orderId"); !found || value != "sA1" {
		t.Errorf("%q, %v", value, found)
	}
}
