package problem

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Problem is a failure the sidecar answers for. It never holds a secret, a body or a query value.
type Problem struct {
	Kind       Kind
	Code       int           // HTTP status; 0 takes the kind's
	Detail     string        // a sentence for the application's developer
	Type       ErrorType     // "" takes the kind's
	ProxyError string        // "" takes the kind's; RFC 9209 section 2.3
	RetryAfter time.Duration // 0: no Retry-After
	Final      bool          // trying again cannot help, or could do harm, although the kind is retryable
	Errors     []Violation   // of a schema violation
	Allow      []string      // of method-not-allowed: the Allow field
	Fields     wire.Fields   // more fields for the answer, the RateLimit ones for example
	LetterID   string        // of outcome-unknown: the letter that keeps the earlier call
	Cause      error         // for the log; never rendered
}

// Violation is one fault of a body, by JSON pointer (RFC 6901).
type Violation struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// New returns a problem of kind k.
func New(k Kind, detail string) *Problem { return &Problem{Kind: k, Detail: detail} }

// Error implements error.
func (p *Problem) Error() string {
	if p.Cause != nil {
		return string(p.Kind) + ": " + strings.TrimSuffix(p.Detail, ".") + ": " + p.Cause.Error()
	}
	return string(p.Kind) + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Status is the HTTP status of the answer.
func (p *Problem) Status() int {
	if p.Code != 0 {
		return p.Code
	}
	return entryOf(p.Kind).Status
}

// ErrorType is what metrics, letters and logs say.
func (p *Problem) ErrorType() ErrorType {
	if p.Type != TypeNone {
		return p.Type
	}
	return entryOf(p.Kind).Type
}

// Retryable reports whether the application may sensibly try again.
func (p *Problem) Retryable() bool { return !p.Final && entryOf(p.Kind).Retryable }

// Exchange is what an answer says of the call it belongs to.
type Exchange struct {
	AdapterID     string
	CorrelationID string
	Attempts      int
	LetterID      string
}

type document struct {
	Type          string      `json:"type"`
	Title         string      `json:"title"`
	Status        int         `json:"status"`
	Detail        string      `json:"detail,omitempty"`
	AdapterID     string      `json:"adapter_id,omitempty"`
	CorrelationID string      `json:"correlation_id,omitempty"`
	Attempts      int         `json:"attempts"`
	Retryable     bool        `json:"retryable"`
	LetterID      string      `json:"dead_letter_id,omitempty"`
	Errors        []Violation `json:"errors,omitempty"`
}

// ContentType of every answer the sidecar makes (RFC 9457 section 3).
const ContentType = "application/problem+json"

// Render turns a problem into the answer the application gets.
func (p *Problem) Render(x Exchange) *wire.Response {
	e := entryOf(p.Kind)
	content, err := json.Marshal(document{
		Type: "urn:integration-sidecar:problem:" + string(e.Kind), Title: e.Title, Status: p.Status(), Detail: p.Detail,
		AdapterID: x.AdapterID, CorrelationID: x.CorrelationID, Attempts: x.Attempts, Retryable: p.Retryable(),
		LetterID: x.LetterID, Errors: p.Errors,
	})
	if err != nil { // strings, numbers and booleans always encode
		panic(err)
	}
	fields := wire.Fields{{Name: "Content-Type", Value: ContentType}, {Name: "Proxy-Status", Value: p.proxyStatus(e)},
		{Name: "Cache-Control", Value: "no-store"}}
	if p.RetryAfter > 0 {
		fields.Add("Retry-After", strconv.FormatInt(Seconds(p.RetryAfter), 10))
	}
	if len(p.Allow) > 0 {
		fields.Add("Allow", strings.Join(p.Allow, ", "))
	}
	fields = append(fields, p.Fields...)
	return &wire.Response{Status: p.Status(), Fields: fields, Content: content}
}

// proxyStatus renders RFC 9209: who answered, and why.
func (p *Problem) proxyStatus(e Entry) string {
	code := p.ProxyError
	if code == "" {
		code = e.ProxyError
	}
	return `integration-sidecar; error=` + code + `; details="` + string(e.Kind) + `"`
}

// Seconds rounds d up to whole seconds, as Retry-After wants it (RFC 9110 section 10.2.3).
func Seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
