package admin

import (
	"net/http"
	"strings"

	"github.com/fsm-integrations/sidecar/dlq"
)

// Summary is a letter in a list, in a letter's own shape: what is needed to recognise it, without headers, body and
// query values.
type Summary struct {
	OriginalMessage Call         `json:"originalMessage"`
	Error           dlq.Failure  `json:"error"`
	Metadata        dlq.Metadata `json:"metadata"`
	ID              string       `json:"id"`
	State           dlq.State    `json:"state"`
}

// Call is the call of a letter in a list.
type Call struct {
	Method    string `json:"method"`
	URL       string `json:"url"` // without the query
	Operation string `json:"operation,omitempty"`
	BodyBytes int    `json:"bodyBytes"`
}

// Page is one answer of the list.
type Page struct {
	Letters []Summary `json:"letters"`
	More    bool      `json:"more"` // letters beyond the limit match too
}

func summarize(l *dlq.Letter) Summary {
	m := &l.OriginalMessage
	url, _, _ := strings.Cut(m.URL, "?")
	return Summary{ID: l.ID, State: l.State, Error: l.Error, Metadata: l.Metadata,
		OriginalMessage: Call{Method: m.Method, URL: url, Operation: m.Operation, BodyBytes: len(m.Body)}}
}

func (s *server) letters(r *http.Request) (any, error) {
	q, err := ParseQuery(r.URL.Query())
	if err != nil {
		return nil, refuse(http.StatusBadRequest, err.Error())
	}
	if q.From != "" {
		return s.sinkLetters(r.Context(), q)
	}
	if q.Newest {
		return s.newestLetters(q)
	}
	page := Page{Letters: []Summary{}}
	// One by one, so that no more than one piece of the spool, bodies and all, is ever in memory.
	err = s.Letters.Each(q.Filter, func(l *dlq.Letter) bool {
		switch {
		case l.ID <= q.After:
			return true
		case len(page.Letters) == q.Limit:
			page.More = true
			return false
		}
		page.Letters = append(page.Letters, summarize(l))
		return true
	})
	return page, err
}

func (s *server) letter(r *http.Request) (any, error) {
	l, err := s.Letters.Get(r.PathValue("id"))
	if err == nil { // what an application sent may be about people
		s.audit(r, unknownName, event{action: "show", object: l.ID, outcome: "shown"}, nil)
	}
	return l, err
}
