package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// exchangesPath is where an adapter's accepted exchanges are found, below the address or prefix of the adapter. Nothing
// below it reaches the external system.
const exchangesPath = "/.sidecar/exchanges/"

// exchangeDocument is an accepted exchange as the application reads it.
type exchangeDocument struct {
	ID            string          `json:"id"`
	State         accepted.State  `json:"state"`
	Accepted      time.Time       `json:"accepted"`
	Updated       time.Time       `json:"updated"`
	Attempts      int             `json:"attempts"`
	CorrelationID string          `json:"correlation_id"`
	Tenant        string          `json:"tenant,omitempty"`
	Status        int             `json:"status,omitempty"`      // of the final response, or of the problem
	RetryAfter    int64           `json:"retry_after,omitempty"` // seconds; of one that has not ended
	LetterID      string          `json:"letter_id,omitempty"`
	Problem       json.RawMessage `json:"problem,omitempty"` // of one that failed without a response
	Response      string          `json:"response"`          // where the final response is read
}

// accept is the answer to a call that was accepted (RFC 9110 section 15.3.3, RFC 7240 section 3).
func accept(x *policy.Exchange, prefix string) *wire.Response {
	resp := describe(http.StatusAccepted, x.Accepted, prefix)
	resp.Fields.Add("Location", prefix+exchangesPath+x.Accepted.ID)
	if x.Preferred {
		resp.Fields.Add("Preference-Applied", "respond-async")
	}
	return resp
}

// describe renders the state of an exchange.
func describe(status int, kept *accepted.Exchange, prefix string) *wire.Response {
	d := exchangeDocument{ID: kept.ID, State: kept.State, Accepted: kept.Accepted, Updated: kept.Updated, Attempts: kept.Attempts,
		CorrelationID: kept.CorrelationID, Tenant: kept.Tenant, Response: prefix + exchangesPath + kept.ID + "/response"}
	fields := wire.Fields{{Name: "Content-Type", Value: "application/json"}, {Name: "Cache-Control", Value: "no-store"}}
	if r := kept.Result; r != nil {
		d.Status, d.LetterID = r.Status, r.LetterID
		if r.Problem && json.Valid(r.Body) {
			d.Problem = r.Body
		}
	} else {
		d.RetryAfter = max(1, problem.Seconds(time.Until(kept.NextTry)))
		fields.Add("Retry-After", strconv.FormatInt(d.RetryAfter, 10))
	}
	content, err := json.Marshal(d)
	if err != nil { // strings, numbers and valid JSON always encode
		panic(err)
	}
	return &wire.Response{Status: status, Fields: fields, Content: content}
}

// exchange answers a call below exchangesPath.
func (s *Server) exchange(reply *reply, x *policy.Exchange, prefix string) {
	resp, err := s.readExchange(reply, x, prefix)
	reply.send(x, resp, err)
}

func (s *Server) readExchange(reply *reply, x *policy.Exchange, prefix string) (*wire.Response, error) {
	if x.Request.Method != http.MethodGet && x.Request.Method != http.MethodHead {
		p := problem.New(problem.MethodNotAllowed, "An accepted exchange is read with GET or HEAD.")
		p.Allow = []string{"GET", "HEAD"}
		return nil, p
	}
	path, _, _ := strings.Cut(x.Target, "?")
	id, part, _ := strings.Cut(strings.TrimPrefix(path, exchangesPath), "/")
	kept, err := s.kept(x, id)
	switch {
	case err != nil:
		p := problem.New(problem.SpoolUnavailable, "The accepted exchanges could not be read.")
		p.RetryAfter, p.Cause = time.Second, err
		return nil, p
	case kept == nil, kept.Adapter != x.Adapter.Name, kept.Tenant != x.Request.Fields.Get("X-Tenant-ID"), part != "" && part != "response":
		return nil, problem.New(problem.ExchangeNotFound, "There is no such exchange of this adapter and tenant, or the time for which it is kept is over, or another sidecar accepted it and shares no Redis with this one: ask the one that answered 202, as the same tenant.")
	}
	x.CorrelationID = kept.CorrelationID
	if part == "" {
		reply.own = true
		return describe(http.StatusOK, kept, prefix), nil
	}
	return finalResponse(reply, x, kept, prefix)
}

// lookTime bounds how long Redis is asked for an exchange that is not on this sidecar's disk.
const lookTime = time.Second

// kept finds an exchange; nil when there is none.
func (s *Server) kept(x *policy.Exchange, id string) (*accepted.Exchange, error) {
	if s.deps.Accepted == nil || id == "" {
		return nil, nil
	}
	ctx, done := context.WithTimeout(x.Ctx, lookTime) // longer than a call's patience: nothing waits behind this answer
	defer done()
	kept, err := s.deps.Accepted.Find(ctx, id)
	if err == accepted.ErrNotFound {
		return nil, nil
	}
	return kept, err
}

// finalResponse is what the call would have been answered, had it been waited for.
func finalResponse(reply *reply, x *policy.Exchange, kept *accepted.Exchange, prefix string) (*wire.Response, error) {
	r := kept.Result
	switch {
	case r == nil:
		reply.own = true
		return describe(http.StatusAccepted, kept, prefix), nil
	case r.Omitted:
		return nil, problem.New(problem.ExchangeNotFound, "The exchange is "+string(kept.State)+" with status "+strconv.Itoa(r.Status)+"; its response was too large to keep.")
	}
	reply.own = r.Problem
	x.LetterID = r.LetterID
	return &wire.Response{Status: r.Status, Fields: r.Fields, Content: r.Body}, nil
}
