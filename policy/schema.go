package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// load reads the schema that validate.schema names.
func (v *Validate) load(files *jsonbody.Files, r Report) {
	path, isFile := strings.CutPrefix(v.Schema, "file:")
	if !isFile || path == "" { // its pattern has said so
		return
	}
	compiled, err := files.Schema(path)
	if err != nil {
		r.Fault("validate.schema", err.Error())
	}
	v.compiled = compiled
}

var errNotLoaded = errors.New("validate.schema: the schema was not loaded")

// conform refuses a request whose body breaks the schema, and says all that is wrong with it. The schema is about what
// the application sends, before any transformation.
func conform(s *Settings) (Stage, error) {
	v := s.Validate
	if v == nil || v.Schema == "" {
		return nil, nil
	}
	if v.compiled == nil {
		return nil, errNotLoaded
	}
	again := s.Transform != nil && s.Transform.Request != "" // the body is looked into again
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			err := conforms(x, v.compiled)
			if err != nil || !again {
				x.forget()
			}
			if err != nil {
				return nil, err
			}
			return next(x)
		}
	}, nil
}

func conforms(x *Exchange, schema *jsonbody.Schema) error {
	if len(x.Request.Body.Bytes) == 0 {
		if !slices.Contains([]string{"POST", "PUT", "PATCH"}, x.Request.Method) {
			return nil
		}
		return violated([]problem.Violation{{Pointer: "", Detail: "is required: the request has no body"}}, 1)
	}
	document, err := x.decode("checked against a schema")
	if err != nil {
		return err
	}
	if list, total := schema.Check(document); total > 0 {
		return violated(list, total)
	}
	return nil
}

func violated(list []problem.Violation, total int) error {
	p := problem.New(problem.SchemaViolation, "The request body breaks the schema in one place.")
	if total > 1 {
		p.Detail = fmt.Sprintf("The request body breaks the schema in %d places.", total)
	}
	if more := total - len(list); more > 0 {
		p.Detail += fmt.Sprintf(" The first %d are listed; %d more are not.", len(list), more)
	}
	p.Errors = list
	return p
}
