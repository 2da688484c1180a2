package policy

import (
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/signature"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Transform are jq programs over JSON bodies.
type Transform struct {
	Request  string `yaml:"request" doc:"jq program over the request body; its one result is sent in place of it."`
	Response string `yaml:"response" doc:"jq program over the JSON body of a 2xx response, with $status; its one result is passed on in place of it."`
}

func (c *Transform) check(r Report) {
	checkProgram(r, "transform.request", c.Request, false)
	checkProgram(r, "transform.response", c.Response, true)
}

func checkProgram(r Report, path, source string, withStatus bool) {
	if _, err := compileProgram(source, withStatus); err != nil {
		r.Fault(path, err.Error())
	}
}

// compileProgram returns nil for no program.
func compileProgram(source string, withStatus bool) (*jsonbody.Program, error) {
	if source == "" {
		return nil, nil
	}
	return jsonbody.Compile(source, withStatus)
}

// looksInside reports whether any policy needs JSON responses whole.
func (s *Settings) looksInside() bool {
	return s.Classify != nil || s.Transform != nil && s.Transform.Response != ""
}

// transform changes what is sent to the external system, and what its successes look like to the application.
//
// All that is remembered of a call is what the application sent: its key, fingerprint, letter and accepted exchange are
// made of that, and a replay transforms it anew. All that is remembered of its outcome is what the external system
// answered: a replayed outcome is transformed on its way out. So neither is ever transformed twice, and a program that
// was mended serves what came before it.
func transform(s *Settings, v *verdict) (Stage, error) {
	t := &transformer{verdict: v, maxBody: int64(s.MaxBody)}
	if c := s.Transform; c != nil {
		var err error
		if t.request, err = compileProgram(c.Request, false); err != nil {
			return nil, fmt.Errorf("transform.request %w", err)
		}
		if t.response, err = compileProgram(c.Response, true); err != nil {
			return nil, fmt.Errorf("transform.response %w", err)
		}
	}
	if t.request == nil && !s.looksInside() {
		return nil, nil
	}
	t.inside = s.looksInside()
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			err := t.send(x)
			x.forget()
			if err != nil {
				return nil, err
			}
			resp, err := next(x)
			if err != nil || x.Accepted != nil {
				return resp, err
			}
			return t.receive(x, resp)
		}
	}, nil
}

// transformer is what transform knows at load.
type transformer struct {
	request, response *jsonbody.Program
	verdict           *verdict
	inside            bool // responses are looked into
	maxBody           int64
}

// send makes what goes to the external system. The application hears of what is wrong before its key is claimed, and
// before the call is accepted.
func (t *transformer) send(x *Exchange) error {
	if t.inside {
		x.Request.Fields.Set("Accept-Encoding", "identity")
		for _, part := range [...]string{"Range", "If-Range"} {
			x.Request.Fields.Del(part)
		}
	}
	if t.request == nil || len(x.Request.Body.Bytes) == 0 {
		return nil
	}
	if signature.CheckDigest(x.Request.Fields, x.Request.Body.Bytes) == signature.WrongDigest { // it is dropped: nobody else would notice
		return problem.New(problem.InvalidRequest, "The Content-Digest of the request does not match its body.")
	}
	document, err := x.decode("transformed")
	if err != nil {
		return err
	}
	content, err := t.run(x, t.request, document, 0)
	if err != nil {
		return problem.New(problem.TransformFailed, "The adapter's program (transform.request) could not transform the request body: "+err.Error()+".")
	}
	x.outgoing = content
	return nil
}

func (t *transformer) run(x *Exchange, p *jsonbody.Program, document any, status int) ([]byte, error) {
	result, err := p.Run(x.Ctx, document, status)
	if err != nil {
		return nil, err
	}
	return jsonbody.Encode(result, t.maxBody)
}

// receive makes what the application gets of an answer.
func (t *transformer) receive(x *Exchange, resp *wire.Response) (*wire.Response, error) {
	if x.Idempotency == "replayed" { // it came past the attempts
		t.verdict.judge(x, resp)
	}
	whole := resp.Outcome == "" || resp.Outcome == wire.PartialFailure // else it is a failure, whose body has a shape of its own
	if t.response == nil || !whole || !x.tells(resp) {
		return resp, nil
	}
	why := unread(resp)
	if why == "" {
		shaped, err := t.shape(x, resp)
		if err == nil {
			return shaped, nil
		}
		why = err.Error()
	}
	resp.Close()
	return nil, garbled(resp, why)
}

// shape leaves the response alone: the store of keys may still hold on to it.
func (t *transformer) shape(x *Exchange, resp *wire.Response) (*wire.Response, error) {
	document, err := jsonbody.Decode(resp.Content)
	if err != nil {
		return nil, err
	}
	shaped := *resp
	if shaped.Content, err = t.run(x, t.response, document, resp.Status); err != nil {
		return nil, err
	}
	shaped.Fields = resp.Fields.Clone(4) // proxy adds some
	shaped.Trailer = nil
	dropDigests(&shaped.Fields)
	shaped.Fields.Del("Content-Length")
	return &shaped, nil
}

// garbled is the problem of a call that took effect, whose answer cannot be told.
func garbled(resp *wire.Response, why string) error {
	p := problem.New(problem.TransformFailed, fmt.Sprintf("The external system answered %d, so the call has taken effect; the adapter's program (transform.response) could not transform the response body: %s.", resp.Status, why))
	p.Code, p.ProxyError, p.Type = 502, "http_protocol_error", problem.TypeServerError
	if resp.Outcome == wire.PartialFailure {
		p.Type = problem.TypePartialFailure
	}
	return p
}

// dropDigests removes the fields that are about the very bytes of a body that was replaced.
func dropDigests(f *wire.Fields) {
	for _, name := range [...]string{"Content-Digest", "Repr-Digest", "Digest", "Content-MD5", "Accept-Ranges"} {
		f.Del(name)
	}
}

// dress gives the attempt what differs from what the application sent.
func (x *Exchange) dress() {
	if x.outgoing != nil {
		x.attempt.Body.Bytes, x.attempt.Trailer = x.outgoing, nil
		dropDigests(&x.attempt.Fields)
	}
	if x.pinned {
		x.attempt.Fields.Del(VersionField)
	}
}
