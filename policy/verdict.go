package policy

import (
	"errors"
	"fmt"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Classify finds failures that the status of a response does not tell of, such as a batch that failed in part.
type Classify struct {
	FailedWhen string `yaml:"failed_when" required:"true" doc:"jq condition over the JSON body of a 2xx response, with $status; true: the call has failed."`
	As         string `yaml:"as" default:"partial_failure" enum:"partial_failure,server_error,client_error" doc:"What such a failure counts as: partial_failure (some of it took effect: never sent again), server_error (as a 5xx), client_error (as a 4xx)."`
}

func (c *Classify) check(r Report) {
	checkProgram(r, "classify.failed_when", c.FailedWhen, true)
}

// verdict is the condition, compiled. A nil verdict finds nothing.
type verdict struct {
	failedWhen *jsonbody.Program
	as         wire.Outcome
}

func newVerdict(c *Classify) (*verdict, error) {
	if c == nil {
		return nil, nil
	}
	program, err := jsonbody.Compile(c.FailedWhen, true)
	if err != nil {
		return nil, fmt.Errorf("classify.failed_when %w", err)
	}
	return &verdict{failedWhen: program, as: wire.Outcome(c.As)}, nil
}

// marked writes on each response what its body says of the call, before breaker, retry and letter ask.
func marked(v *verdict) Stage {
	if v == nil {
		return nil
	}
	return func(next Next) Next {
		return func(x *Exchange) (*wire.Response, error) {
			resp, err := next(x)
			if err == nil {
				v.judge(x, resp)
			}
			return resp, err
		}
	}
}

// judge marks a response. One that cannot be looked into counts as what its status says, and the log says why.
func (v *verdict) judge(x *Exchange, resp *wire.Response) {
	x.Unjudged = nil
	if v == nil || !x.tells(resp) {
		return
	}
	failed, err := v.failed(x, resp)
	if err != nil {
		x.Unjudged = fmt.Errorf("classify.failed_when: %w", err)
	}
	if failed {
		resp.Outcome = v.as
	}
}

func (v *verdict) failed(x *Exchange, resp *wire.Response) (bool, error) {
	if why := unread(resp); why != "" {
		return false, errors.New(why)
	}
	document, err := jsonbody.Decode(resp.Content)
	if err != nil {
		return false, err
	}
	result, err := v.failedWhen.Run(x.Ctx, document, resp.Status)
	return err == nil && jsonbody.True(result), err
}
