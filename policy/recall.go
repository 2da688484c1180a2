package policy

import (
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/recent"
)

// recall remembers the exchange for the status page: the facts of its log line, never a body or a query value.
func (o *observer) recall(x *Exchange, status int, took time.Duration, err error, kind problem.ErrorType) {
	h := o.host
	if h.recent == nil {
		return
	}
	if x.Accepted == nil && !x.Again { // else nothing has come of the exchange yet
		h.series.Count(x.Start.Add(took), took, kind == problem.TypeNone)
	}
	path, _, _ := strings.Cut(x.Target, "?")
	r := &recent.Exchange{Start: x.Start, Milliseconds: milliseconds(took), Adapter: h.Identity.Name, AdapterID: h.Identity.ID,
		Operation: x.Operation, Method: x.Request.Method, Path: path, Status: status, ErrorType: string(kind),
		AttemptsTotal: len(x.Attempts), LimitWait: milliseconds(x.LimitWait), RetriesEnded: x.RetriesEnded, Idempotency: x.Idempotency,
		CorrelationID: x.CorrelationID, TraceID: x.TraceID, Tenant: x.Tenant, LetterID: x.LetterID, ExchangeID: x.exchangeID(),
		Replay: x.Replay != nil, Accepted: x.Accepted != nil, Async: x.Delivery != nil, PutBack: x.Again, Unknown: x.Unknown, LetterLost: x.LetterLost}
	if p, ok := err.(*problem.Problem); ok {
		r.Kind, r.Detail = string(p.Kind), p.Detail
	}
	r.Attempts = make([]recent.Attempt, min(len(x.Attempts), recent.MaxAttempts))
	for i := range r.Attempts {
		a := &x.Attempts[i]
		r.Attempts[i] = recent.Attempt{Offset: milliseconds(a.Start.Sub(x.Start)), Milliseconds: milliseconds(a.Duration),
			Status: a.Status, Error: recent.Error(a.Error), Sent: a.Sent}
	}
	h.recent.Note(r)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
