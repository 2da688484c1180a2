package policy

import (
	"errors"
	"io"
	"mime"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Validate is what the application may send; empty lists allow everything.
type Validate struct {
	Methods      []string `yaml:"methods" doc:"Allowed methods."`
	ContentTypes []string `yaml:"content_types" doc:"Allowed media types of a request with a body; parameters are not compared."`
	Schema       string   `yaml:"schema" pattern:"^file:." doc:"JSON Schema of the request body, as file:path; a relative path starts from the configuration file."`

	compiled *jsonbody.Schema
}

func (v *Validate) check(r Report) {
	for _, m := range v.Methods {
		if m == "CONNECT" || m == "TRACE" || m != strings.ToUpper(m) || !validFieldName(m) {
			r.Fault("validate.methods", m+" is not a method that can be allowed, such as GET or POST")
		}
	}
	for _, t := range v.ContentTypes {
		if media, _, err := mime.ParseMediaType(t); err != nil || !strings.Contains(media, "/") {
			r.Fault("validate.content_types", t+" is not a media type, such as application/json")
		}
	}
}

// validate refuses what the adapter does not take, then reads the body if any later policy needs it again. Nothing of
// the body is read, and so no 100 (Continue) is sent, before the head has passed.
func validate(s *Settings) Stage {
	v := &validator{maxBody: int64(s.MaxBody), settings: s}
	if s.Validate != nil {
		v.methods = s.Validate.Methods
		for _, t := range s.Validate.ContentTypes {
			media, _, _ := mime.ParseMediaType(t)
			v.types = append(v.types, media)
		}
	}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			if err := v.head(x); err != nil {
				return nil, err
			}
			if err := v.body(x); err != nil {
				return nil, err
			}
			return next(x)
		}
	}
}

type validator struct {
	methods  []string
	types    []string
	maxBody  int64
	settings *Settings
}

func (v *validator) head(x *Exchange) error {
	r := &x.Request
	if len(v.methods) > 0 && !slices.Contains(v.methods, r.Method) {
		p := problem.New(problem.MethodNotAllowed, "This adapter does not take "+r.Method+".")
		p.Allow = v.methods
		return p
	}
	if len(v.types) > 0 && (r.Body.Stream != nil || len(r.Body.Bytes) > 0) && !v.takes(r.Fields.Get("Content-Type")) {
		return problem.New(problem.ContentTypeNotAllowed, "This adapter takes bodies of type "+strings.Join(v.types, ", ")+" only.")
	}
	return nil
}

func (v *validator) takes(contentType string) bool {
	for _, t := range v.types {
		if len(contentType) == len(t) && strings.EqualFold(contentType, t) {
			return true
		}
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && slices.Contains(v.types, media)
}

// needed reports whether any later policy must see the body again or whole.
func (v *validator) needed(method string) bool {
	s := v.settings
	return s.Retry != nil && s.Retry.MaxRetries > 0 || s.Sign != nil || s.Auth != nil && s.Auth.OAuth2 != nil ||
		s.Transform != nil && s.Transform.Request != "" || s.Validate != nil && s.Validate.Schema != "" ||
		isWrite(method) && (s.Idempotency != nil || s.DeadLetter != nil && slices.Contains(s.DeadLetter.Methods, method))
}

// body buffers the request body up to max_body.
func (v *validator) body(x *Exchange) error {
	b := &x.Request.Body
	if !b.Buffered() && x.ReadBy != nil {
		x.ReadBy(x.Deadline)
	}
	if b.Buffered() || !v.needed(x.Request.Method) {
		return nil
	}
	if b.Length > v.maxBody {
		return v.tooLarge()
	}
	if keys := v.settings.Idempotency; keys.keyMissing(x) { // said before the body is sent, where the application waits for 100
		return keys.keyRequired()
	}
	content, err := readBounded(b.Stream, make([]byte, 0, max(b.Length, 511)+1), v.maxBody)
	switch {
	case err == nil:
		b.Bytes, b.Stream = content, nil
		if x.ReadBy != nil {
			x.ReadBy(time.Time{})
		}
		return nil
	case errors.Is(err, errTooLong):
		return v.tooLarge()
	case x.Ctx.Err() != nil && !errors.Is(err, os.ErrDeadlineExceeded): // net/http ends the context with any failed read
		return ErrCanceled
	}
	p := problem.New(problem.InvalidRequest, "The request body is malformed or ended before it was complete.")
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Detail = "The request body did not arrive within the call's total time."
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.Detail = "The request body ended before it was complete."
	}
	p.Cause = err
	return p
}

func (v *validator) tooLarge() error {
	return problem.New(problem.BodyTooLarge, "The request body is larger than the "+v.settings.MaxBody.String()+" this adapter takes.")
}
