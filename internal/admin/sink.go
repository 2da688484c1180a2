package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/proxy"
)

// The results of an adoption, beside refused and, of a dry run, would-send.
const (
	adopted = "adopted" // taken over into the sidecar's own spool
	kept    = "kept"    // there already
)

// sinkLetters is one page of the letters that the sink has.
func (s *server) sinkLetters(ctx context.Context, q Query) (any, error) {
	if q.After != "" {
		return nil, refuse(http.StatusBadRequest, "after: letters of a sink come on one page only")
	}
	if q.Newest {
		return nil, refuse(http.StatusBadRequest, "newest: letters of a sink come oldest first only")
	}
	page := Page{Letters: []Summary{}}
	err := s.readSink(ctx, q, func(l *dlq.Letter) bool {
		if len(page.Letters) == q.Limit {
			page.More = true
			return false
		}
		page.Letters = append(page.Letters, summarize(l))
		return true
	})
	return page, err
}

// readSink visits the letters of the sink. Of one that the own spool holds too, the spool knows better: it is visited as
// it is there, if the query chooses that.
func (s *server) readSink(ctx context.Context, q Query, visit func(*dlq.Letter) bool) error {
	switch {
	case q.From == "":
		return refuse(http.StatusBadRequest, "from: names no sink; kafka or redis")
	case s.Sink == nil:
		return refuse(http.StatusConflict, "this sidecar forwards its letters nowhere (dlq.kafka, dlq.redis)")
	case s.Sink.Name != q.From:
		return refuse(http.StatusConflict, "this sidecar forwards its letters to "+s.Sink.Name+", not to "+q.From)
	}
	wide := q.Filter // the sink's copy is older: the letter may have another state here, or have been tried since
	wide.States, wide.Tried, wide.Untried = nil, "", ""
	err := s.Sink.Read(ctx, wide, func(l *dlq.Letter) bool {
		if own, err := s.Letters.Get(l.ID); err == nil {
			l = own
		}
		if !q.Filter.Matches(l) {
			return true
		}
		return visit(l)
	})
	if unreadable, ok := errors.AsType[*dlq.UnreadableError](err); ok {
		s.Log.Warn("the sink holds what is no letter", "sink", s.Sink.Name, "error", unreadable.Error())
		return nil
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Error("the sink could not be read", "sink", s.Sink.Name, "error", err.Error())
		return refuse(http.StatusBadGateway, s.Sink.Name+" could not be read; the sidecar's log says why")
	}
	return err
}

// Adoption is what became of each letter that was to be taken over, oldest first.
type Adoption struct {
	Letters []proxy.ReplayResult `json:"letters"`
}

// adopt takes letters of the sink over into the sidecar's own spool, from where they are replayed as any other.
func (s *server) adopt(r *http.Request) (any, error) {
	q, err := ParseQuery(r.URL.Query())
	if err != nil {
		return nil, refuse(http.StatusBadRequest, err.Error())
	}
	o, err := s.order(r)
	if err != nil {
		return nil, err
	}
	out := Adoption{Letters: []proxy.ReplayResult{}}
	limit := r.URL.Query().Has("limit")
	readErr := s.readSink(r.Context(), q, func(l *dlq.Letter) bool {
		if len(o.IDs) > 0 && !slices.Contains(o.IDs, l.ID) {
			return true
		}
		var result proxy.ReplayResult
		if result, err = s.adoptOne(r, l, o); err == nil {
			out.Letters = append(out.Letters, result)
		}
		return err == nil && (!limit || len(out.Letters) < q.Limit)
	})
	if err == nil {
		err = readErr
	}
	return out, err
}

func (s *server) adoptOne(r *http.Request, l *dlq.Letter, o order) (proxy.ReplayResult, error) {
	if o.DryRun {
		_, err := s.Letters.Get(l.ID)
		return s.Controller.DryRun(r.Context(), l, proxy.ReplayOptions{Who: o.Who, Force: o.Force, DryRun: true, FromSink: errors.Is(err, dlq.ErrNotFound)}), nil
	}
	ok, err := s.Letters.Adopt(context.WithoutCancel(r.Context()), l, o.Who)
	switch {
	case errors.Is(err, dlq.ErrSealed), errors.Is(err, dlq.ErrBodyOmitted), errors.Is(err, dlq.ErrFull):
		return proxy.ReplayResult{ID: l.ID, Result: "refused", Reason: err.Error()}, nil
	case err != nil:
		return proxy.ReplayResult{}, err
	case !ok:
		return proxy.ReplayResult{ID: l.ID, Result: kept}, nil
	}
	s.audit(r, o.Who, event{action: "adopt", object: l.ID, outcome: adopted}, nil)
	return proxy.ReplayResult{ID: l.ID, Result: adopted}, nil
}
