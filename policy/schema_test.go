package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
)

const orderSchema = `{"type":"object","required":["orderId"],"properties":{"orderId":{"type":"string"},"lines":{"items":{"required":["sku"]}}}}`

// checked gives settings a schema, as internal/config does.
func checked(t testing.TB, schema string) func(*Settings) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(path, []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(s *Settings) {
		s.Validate = &Validate{Schema: "file:" + path}
		s.Load(jsonbody.NewFiles(""), failing{t})
	}
}

// failing takes no faults.
type failing struct{ testing.TB }

func (f failing) Fault(path, message string) { f.Errorf("%s: %s", path, message) }
func (f failing) Warn(path, message string)  { f.Errorf("%s: %s", path, message) }

func TestABodyThatBreaksTheSchemaIsNotSent(t *testing.T) {
	r := newRig(t, "", quick(checked(t, orderSchema)))
	for name, c := range map[string]struct {
		method, contentType, coding, body string
		kind                              problem.Kind
		says                              string
	}{
		"not an object":       {"POST", "application/json", "", `[]`, problem.SchemaViolation, "in one place"},
		"all violations":      {"POST", "application/json", "", `{"lines":[{},{"sku":1},{}]}`, problem.SchemaViolation, "in 3 places"},
		"another JSON type":   {"POST", "application/vnd.order+json", "", `{}`, problem.SchemaViolation, "in one place"},
		"no body":             {"PUT", "application/json", "", "", problem.SchemaViolation, "in one place"},
		"not JSON":            {"POST", "application/json", "", `{"orderId":`, problem.InvalidRequest, "cannot be read as JSON: it ends before its JSON value does"},
		"the same name twice": {"POST", "application/json", "", `{"orderId":"a","orderId":1}`, problem.InvalidRequest, "two members with the same name"},
		"no type":             {"POST", "", "", `{"orderId":"a"}`, problem.ContentTypeNotAllowed, "must be JSON"},
		"another type":        {"POST", "text/xml", "", `<order/>`, problem.ContentTypeNotAllowed, "must be JSON"},
		"compressed":          {"POST", "application/json", "gzip", "\x1f\x8b", problem.ContentTypeNotAllowed, "without a Content-Encoding"},
		"a body of a DELETE":  {"DELETE", "application/json", "", `{}`, problem.SchemaViolation, "in one place"},
	} {
		t.Run(name, func(t *testing.T) {
			x := r.exchange(c.method, "/orders", c.body)
			for field, value := range map[string]string{"Content-Type": c.contentType, "Content-Encoding": c.coding} {
				if value != "" {
					x.Request.Fields.Add(field, value)
				}
			}
			a := r.run(x)
			p, _ := a.err.(*problem.Problem)
			if kindOf(a.err) != c.kind || !strings.Contains(p.Detail, c.says) || p.ErrorType() != problem.TypeValidation || len(a.x.Attempts) != 0 {
				t.Errorf("%v after %d attempts", a.err, len(a.x.Attempts))
			}
			if (len(p.Errors) > 0) != (c.kind == problem.SchemaViolation) {
				t.Errorf("errors %v", p.Errors)
			}
		})
	}
	if list := letters(t, r.spool); len(list) != 0 {
		t.Errorf("letters of calls that were never good: %v", list)
	}
}

func TestViolationsAreListedByPointerUpToABound(t *testing.T) {
	r := newRig(t, "", quick(checked(t, orderSchema)))
	a := r.call("POST", "/orders", `{"orderId":7,"lines":[`+strings.Repeat("{},", 59)+`{}]}`, "Content-Type", "application/json")
	p := a.err.(*problem.Problem)
	if len(p.Errors) != 50 || p.Detail != "The request body breaks the schema in 61 places. The first 50 are listed; 11 more are not." {
		t.Errorf("%d listed: %s", len(p.Errors), p.Detail)
	}
	if got := fmt.Sprint(p.Errors[0]); got != "{/lines/0/sku is required}" {
		t.Errorf("the first is %s", got)
	}
}

func TestABodyThatKeepsTheSchemaIsSentAsItIs(t *testing.T) {
	const body = " {\"orderId\" : \"o-1\", \"n\": 1.10, \"big\":12345678901234567890}\n"
	u := upstream.Always(t, upstream.OK("made"))
	r := newRig(t, u.URL(), quick(checked(t, orderSchema)))
	if a := r.call("POST", "/orders", body, "Content-Type", "application/json"); a.err != nil || string(u.Request(1).Body) != body {
		t.Errorf("%v, sent %s", a.err, u.Request(1).Body)
	}
	if a := r.call("GET", "/orders", ""); a.err != nil {
		t.Errorf("a read without a body: %v", a.err)
	}
	if a := r.call("DELETE", "/orders/1", ""); a.err != nil {
		t.Errorf("a DELETE without a body: %v", a.err)
	}
}

func TestASchemaThatWasNotLoadedIsNotLeftOut(t *testing.T) {
	s := quick(func(s *Settings) { s.Validate = &Validate{Schema: "file:x.json"} })
	r := newRig(t, "", quick())
	if _, err := Compile(s, r.host, r.deps); err == nil {
		t.Error("calls would go unchecked")
	}
}
