package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/proxy"
)

// maxBody bounds what a client may send; the largest sensible request is a few words long.
const maxBody = 64 << 10

// Problem is every answer that is not the one asked for (RFC 9457). As an error, the client's
// calls return it.
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Faults []string `json:"faults,omitempty"` // of a refused configuration
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// blank is the type of every problem of this API (RFC 9457 section 4.2.1).
const blank = "about:blank"

func refuse(status int, detail string) *Problem {
	return &Problem{Type: blank, Title: http.StatusText(status), Status: status, Detail: detail}
}

// serve checks token and method, asks for the answer and writes it.
func (s *server) serve(rt route) http.Handler {
	give := rt.answer
	if rt.action != "" {
		give = s.audited(rt, give)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := s.withoutToken(r, rt); p != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="integration sidecar"`)
			writeProblem(w, p)
			return
		}
		if !allowed(rt.method, r.Method) {
			w.Header().Set("Allow", rt.method)
			writeProblem(w, refuse(http.StatusMethodNotAllowed, "this needs "+rt.method))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := give(r)
		if err != nil {
			writeProblem(w, s.explain(r, err))
			return
		}
		switch v := v.(type) {
		case http.HandlerFunc:
			v(w, r)
		case part:
			v.write(w)
		default:
			write(w, v)
		}
	})
}

// allowed reports whether a route of method want serves method; "" serves all, GET serves HEAD too.
func allowed(want, method string) bool {
	return want == "" || method == want || want == http.MethodGet && method == http.MethodHead
}

// explain turns an error into what the client reads. What it does not know may say more of the host than a client
// should read, so that goes to the log alone.
func (s *server) explain(r *http.Request, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, dlq.ErrNotFound):
		return refuse(http.StatusNotFound, "there is no letter "+r.PathValue("id"))
	case errors.Is(err, proxy.ErrUnknownAdapter):
		return refuse(http.StatusNotFound, "there is no adapter of this name")
	case errors.Is(err, proxy.ErrBreakerOff):
		return refuse(http.StatusConflict, "the breaker of this adapter is off in the configuration")
	}
	s.Log.Error("admin request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return refuse(http.StatusInternalServerError, "the sidecar failed at this; its log says why")
}

func write(w http.ResponseWriter, v any) {
	if t, ok := v.(text); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Vary", "Accept")
		_, _ = io.WriteString(w, string(t))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that went away is nobody's fault
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", problem.ContentType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// decode reads the body of a mutating call into v. No body at all is the same as {}.
func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == nil {
			return refuse(http.StatusBadRequest, "the body holds more than one JSON document")
		}
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case tooLarge:
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than 64 KiB")
	}
	return refuse(http.StatusBadRequest, "the body is not the JSON this needs: "+err.Error())
}
