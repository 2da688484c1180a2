package proxy

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// serve answers one call that came to the listener of this key.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, came string) {
	x := &policy.Exchange{Ctx: r.Context(), Start: time.Now(), Patience: s.deps.Shared.Patience()}
	fields := wire.FromHeader(r.Header, "Content-Length", "Expect").EndToEnd() // framing and expectations are ours to make anew
	x.Request = wire.Request{Method: r.Method, Fields: fields, Body: requestBody(r)}
	x.CorrelationID = policy.Correlate(x.Request.Fields)
	x.Target, _ = originForm(r.RequestURI) // for the log, until the adapter is known
	reply := &reply{w: w, head: r.Method == http.MethodHead, pseudonym: s.pseudonym}
	if len(r.TransferEncoding) > 0 {
		// net/http hides a Content-Length beside the chunked coding, the mark of a smuggled request. Whatever follows such a
		// call on its connection is not read (RFC 9112 section 6.1).
		w.Header().Set("Connection", "close")
	}
	if !s.enter() {
		p := problem.New(problem.Draining, "The sidecar is shutting down and takes no new calls.")
		p.RetryAfter = time.Second
		s.refuse(reply, x, p)
		return
	}
	defer s.busy.Done()
	a, prefix, p := s.match(x, r, came)
	if p != nil {
		s.refuse(reply, x, p)
		return
	}
	x.Adapter = a.identity
	x.Request.Target = a.identity.Base + x.Target
	x.Request.Fields.Add("Via", "1.1 "+s.pseudonym)
	if len(r.Trailer) > 0 {
		x.Request.Trailer = func() wire.Fields { return trailerFields(r.Trailer) }
	}
	if r.ProtoAtLeast(1, 1) { // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2)
		x.Inform = reply.inform
	}
	if !x.Request.Body.Buffered() {
		x.ReadBy = reply.readBy
	}
	path, _, _ := strings.Cut(x.Target, "?")
	reply.location = location{adapter: a, prefix: prefix, host: r.Host}
	if strings.HasPrefix(path, exchangesPath) {
		s.exchange(reply, x, prefix)
		return
	}
	chain, _, operation := a.route(r.Method, path)
	x.Operation = operation
	resp, err := chain(x)
	if err == nil && x.Accepted != nil {
		resp, reply.own = accept(x, prefix), true
	}
	reply.send(x, resp, err)
}

// match finds the adapter of a call and refuses what no adapter may see.
func (s *Server) match(x *policy.Exchange, r *http.Request, came string) (a *adapter, prefix string, p *problem.Problem) {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		p = problem.New(problem.MethodNotAllowed, "The sidecar does not take "+r.Method+".")
		p.Allow = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
		return nil, "", p
	}
	a, prefix, x.Target, p = s.snapshot.Load().find(came, r.RequestURI, r.Host)
	if p != nil {
		return nil, "", p
	}
	if s.looped(x.Request.Fields) {
		return nil, "", problem.New(problem.LoopDetected, "The call already passed this sidecar: an adapter's upstream leads back to it.")
	}
	return a, prefix, nil
}

// looped reports whether a Via field names this process (RFC 9110 section 7.6.3).
func (s *Server) looped(fields wire.Fields) bool {
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Via") && strings.Contains(f.Value, s.pseudonym) {
			return true
		}
	}
	return false
}

// refuse answers a call that reached no adapter, and logs it as the adapters' chains log theirs.
func (s *Server) refuse(reply *reply, x *policy.Exchange, p *problem.Problem) {
	path, _, _ := strings.Cut(x.Target, "?")
	s.log().LogAttrs(x.Ctx, slog.LevelWarn, "exchange", slog.String("method", x.Request.Method), slog.String("path", path),
		slog.Int("status", p.Status()), slog.Int("attempts", 0), slog.String("correlation_id", x.CorrelationID),
		slog.String("error_type", string(p.ErrorType())), slog.String("error", string(p.Kind)))
	reply.send(x, nil, p)
}

func requestBody(r *http.Request) wire.Body {
	if r.Body == nil || r.Body == http.NoBody {
		return wire.Body{}
	}
	return wire.Body{Stream: r.Body, Length: r.ContentLength}
}

func trailerFields(trailer http.Header) wire.Fields {
	var fields wire.Fields
	for name, values := range trailer {
		if len(values) == 0 {
			fields.Add(name, "")
		}
		for _, value := range values {
			fields.Add(name, value)
		}
	}
	return fields
}
