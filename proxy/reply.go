package proxy

import (
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
	"github.com/fsm-integrations/sidecar/policy"
)

// reply writes the answer to one call.
type reply struct {
	w         http.ResponseWriter
	head      bool // to a HEAD request: no body follows
	pseudonym string
	location  location
	own       bool // the response was made here, not by the external system

	mu   sync.Mutex // 1xx responses come from the connection's goroutine
	done bool       // the final response has begun
}

// inform passes a 1xx response on (RFC 9110 section 15.2).
func (r *reply) inform(status int, fields wire.Fields) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return
	}
	header := r.w.Header()
	final := maps.Clone(header) // Connection, when the connection must end
	clear(header)
	fields.AddTo(header)
	r.w.WriteHeader(status)
	clear(header)
	maps.Copy(header, final)
}

// readBy bounds how long the application may take to send its body.
func (r *reply) readBy(t time.Time) {
	_ = http.NewResponseController(r.w).SetReadDeadline(t) // every connection of ours has deadlines
}

// send writes the final response: the external system's, or the rendering of a problem.
func (r *reply) send(x *policy.Exchange, resp *wire.Response, err error) {
	r.mu.Lock()
	r.done = true
	r.mu.Unlock()
	if err != nil {
		p, ok := err.(*problem.Problem)
		if !ok { // the application went away: there is nobody to write to
			panic(http.ErrAbortHandler)
		}
		resp = p.Render(x.Facts())
		if p.Kind == problem.InvalidRequest || p.Kind == problem.Draining {
			r.w.Header().Set("Connection", "close")
		}
	} else if !r.own {
		r.location.rewrite(resp.Fields)
		resp.Fields.Add("Via", "1.1 "+r.pseudonym)
		if resp.Outcome != "" { // the status alone would be taken for a success
			resp.Fields.Add("Proxy-Status", `integration-sidecar; received-status=`+strconv.Itoa(resp.Status)+`; details="`+string(resp.Outcome)+`"`)
		}
	}
	header := r.w.Header()
	resp.Fields.AddTo(header)
	for _, ours := range [...]string{"X-Correlation-Id", "X-Dead-Letter-Id", "X-Dead-Letter"} { // as net/http spells them
		delete(header, ours)
	}
	if _, typed := header["Content-Type"]; !typed {
		header["Content-Type"] = nil // net/http would guess one
	}
	header[policy.CorrelationField] = []string{x.CorrelationID}
	if x.Adapter != nil {
		header[policy.VersionField] = []string{x.Adapter.Version}
	}
	switch {
	case x.LetterID != "":
		header["X-Dead-Letter-ID"] = []string{x.LetterID}
	case x.LetterLost:
		header["X-Dead-Letter"] = []string{"unavailable"}
	}
	if resp.Stream != nil {
		r.stream(resp, x.Deadline)
		return
	}
	r.content(header, resp)
}

// content writes a response that is complete in memory.
func (r *reply) content(header http.Header, resp *wire.Response) {
	var trailer wire.Fields
	if resp.Trailer != nil {
		trailer = resp.Trailer()
	}
	switch {
	case len(trailer) > 0:
		delete(header, "Content-Length") // trailers need the chunked coding
	case !r.head && bodyAllowed(resp.Status):
		header["Content-Length"] = []string{strconv.Itoa(len(resp.Content))}
	}
	r.trailer(trailer) // before the head: net/http would give a small body a length, and then no trailer
	r.w.WriteHeader(resp.Status)
	if len(resp.Content) > 0 && !r.head {
		_, _ = r.w.Write(resp.Content) // it fails only when the application is gone
	}
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// copyBuffers are 32 KiB each.
var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// stream passes a response on as it comes. If it breaks off, so does the answer: a truncated response is never
// finished properly, or the application would take it for a whole one.
//
// An application that stops reading is cut off a little after the call's total time.
func (r *reply) stream(resp *wire.Response, deadline time.Time) {
	defer resp.Close()
	control := http.NewResponseController(r.w)
	_ = control.SetWriteDeadline(deadline.Add(closeGrace))
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	r.w.WriteHeader(resp.Status)
	buffer := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buffer)
	flusher, _ := r.w.(http.Flusher)
	if resp.Length < 0 {
		flusher.Flush() // the head alone may be what the application waits for
	}
	for {
		n, err := resp.Stream.Read(buffer[:])
		if n > 0 {
			if _, writeErr := r.w.Write(buffer[:n]); writeErr != nil {
				return
			}
			if resp.Length < 0 || n < len(buffer) { // nothing more was there: what came must not wait for it
				flusher.Flush()
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if resp.Trailer != nil {
		r.trailer(resp.Trailer())
	}
}

func (r *reply) trailer(fields wire.Fields) {
	for _, f := range fields {
		r.w.Header().Add(http.TrailerPrefix+f.Name, f.Value)
	}
}

// location maps a Location that leads to the external system back to the sidecar, so that the application's next
// call comes the same way.
type location struct {
	adapter *adapter
	prefix  string // of the path the application used, "" when none
	host    string // the Host field it sent
}

func (l *location) rewrite(fields wire.Fields) {
	for i := range fields {
		if strings.EqualFold(fields[i].Name, "Location") {
			fields[i].Value = l.mapped(fields[i].Value)
		}
	}
}

func (l *location) mapped(value string) string {
	id := l.adapter.identity
	path, absolute := value, false
	if rest, ok := cutOrigin(value, id.Origin); ok {
		path, absolute = rest, true
	} else if !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") {
		return value // another origin, or relative to the call
	}
	below, ok := strings.CutPrefix(path, id.Base)
	if !ok || below != "" && !strings.ContainsRune("/?#", rune(below[0])) || climbs(below) {
		return id.Origin + path // beyond the adapter: as a path it would lead to something else of the sidecar
	}
	if absolute {
		return "http://" + l.host + l.prefix + below
	}
	if l.prefix+below == "" {
		return "/"
	}
	return l.prefix + below
}

// cutOrigin removes scheme and authority when they are origin's.
func cutOrigin(value, origin string) (string, bool) {
	if len(value) < len(origin) || !strings.EqualFold(value[:len(origin)], origin) {
		return "", false
	}
	rest := value[len(origin):]
	return rest, rest == "" || strings.ContainsRune("/?#", rune(rest[0]))
}
