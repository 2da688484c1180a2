package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// trail is where a request notes that it has left its audit line.
type trail struct{ left bool }

type trailKey struct{}

// audited makes sure that a request leaves an audit line: one that got no further than its body leaves it here.
func (s *server) audited(rt route, next answer) answer {
	return func(r *http.Request) (any, error) {
		t := new(trail)
		r = r.WithContext(context.WithValue(r.Context(), trailKey{}, t))
		v, err := next(r)
		if !t.left {
			s.audit(r, unknownName, event{action: rt.action, outcome: "done"}, err)
		}
		return v, err
	}
}

// event is what was asked for and what came of it.
type event struct {
	action  string // a word or two, such as replay
	object  string // a letter's id, an adapter's name, configuration
	outcome string // one word; of an error it is refused or failed
	reason  string
}

// audit leaves one line in the log, at whatever level that is set to. Its fields are promised: who as the client says,
// via as the sidecar knows, auth, action, object, outcome, reason and request.
func (s *server) audit(r *http.Request, who string, e event, err error) {
	if t, ok := r.Context().Value(trailKey{}).(*trail); ok {
		t.left = true
	}
	if err != nil {
		e.outcome, e.reason = "failed", err.Error()
		if _, ok := errors.AsType[*Problem](err); ok {
			e.outcome = "refused"
		}
	}
	auth := "none"
	if ok, _ := s.authorised(r); ok {
		auth = "token"
	}
	args := []any{"who", who, "via", via(r), "auth", auth, "action", e.action, "object", cut(e.object, maxReason), "outcome", e.outcome}
	if e.reason != "" {
		args = append(args, "reason", cut(e.reason, maxReason))
	}
	level := slog.LevelInfo
	if e.outcome == "refused" || e.outcome == "failed" {
		level = slog.LevelWarn
	}
	s.Audit.Log(r.Context(), level, "audit", append(args, "request", cut(r.Method+" "+r.URL.Path, maxReason))...)
}

const maxReason = 300 // characters

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// via is what the sidecar itself knows of who asks: the user behind a Unix socket, else the address.
func via(r *http.Request) string {
	if p, ok := r.Context().Value(peerKey{}).(string); ok {
		return p
	}
	return r.RemoteAddr
}
