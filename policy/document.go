package policy

import (
	"strings"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// decode reads the request body as JSON, once for all stages that look into it. why says what it is read for.
func (x *Exchange) decode(why string) (any, error) {
	if x.decoded {
		return x.document, nil
	}
	r := &x.Request
	switch {
	case !jsonbody.Typed(r.Fields.Get("Content-Type")):
		return nil, problem.New(problem.ContentTypeNotAllowed, "The body is "+why+", so it must be JSON, with a Content-Type that says so.")
	case encoded(r.Fields):
		return nil, problem.New(problem.ContentTypeNotAllowed, "The body is "+why+", so it must come without a Content-Encoding.")
	}
	document, err := jsonbody.Decode(r.Body.Bytes)
	if err != nil {
		p := problem.New(problem.InvalidRequest, "The request body cannot be read as JSON: "+err.Error()+".")
		return nil, p
	}
	x.document, x.decoded = document, true
	return document, nil
}

// forget lets go of the decoded body.
func (x *Exchange) forget() { x.document, x.decoded = nil, false }

func encoded(f wire.Fields) bool {
	coding := f.Get("Content-Encoding")
	return coding != "" && !strings.EqualFold(coding, "identity")
}

// mayTell reports whether the body of a response to this exchange, which need not be read yet, can say how the call went:
// JSON that belongs to a success, and all of it.
func (x *Exchange) mayTell(resp *wire.Response) bool {
	return x.Request.Method != "HEAD" && resp.Status >= 200 && resp.Status < 300 && resp.Status != 206 && jsonbody.Typed(resp.Fields.Get("Content-Type"))
}

// tells reports whether it does: there is a body.
func (x *Exchange) tells(resp *wire.Response) bool {
	return (resp.Stream != nil || len(resp.Content) > 0) && x.mayTell(resp)
}

// unread says why the body of a response that tells cannot be looked into; "" when it can.
func unread(resp *wire.Response) string {
	switch {
	case resp.Stream != nil:
		return "it is larger than max_body"
	case encoded(resp.Fields):
		return "it came with a Content-Encoding, although none was asked for"
	}
	return ""
}
