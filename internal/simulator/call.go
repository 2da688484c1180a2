package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// maxBody is the largest request a system takes, in bytes.
const maxBody = 8 << 20

// call is one request on its way through a system.
type call struct {
	system  *System
	request *http.Request
	body    []byte
	key     string
	id      string // {id} of the path
	record  *Record
	fault   Fault
	badSign error
}

// handler performs one call of the API. It runs at most once per key on systems that honour keys.
type handler func(c *call) answer

// route is one call of an API; only its last segment may be {id}.
type route struct {
	method, path string
	handle       handler
}

// serve takes one call: it is noted first, then meets its fault, then is checked and performed, and is noted again
// before the answer leaves, so that whoever has the answer finds the record complete.
func (s *System) serve(w http.ResponseWriter, r *http.Request) {
	if !s.calls.enter() {
		hangUp(w, false)
		return
	}
	defer s.calls.running.Done()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	c := s.open(r, body, err == nil)
	a, how := s.decide(c, err)
	s.journal.finish(c.record, a.status, how)
	deliver(w, r, a, how)
}

// open notes the call. One whose body did not arrive meets no fault and leaves it to the next.
func (s *System) open(r *http.Request, body []byte, complete bool) *call {
	c := &call{system: s, request: r, body: body, key: keyOf(r.Header, s.provider.keyField)}
	now := time.Now()
	c.badSign = s.signature.verify(r, c.key, body, now)
	c.record = &Record{Time: now, Method: r.Method, Path: r.URL.Path, Key: c.key,
		Correlation: r.Header.Get("X-Correlation-ID"), Signature: r.Header.Get(s.signature.Field)}
	if c.badSign != nil {
		c.record.SignatureFault = c.badSign.Error()
	}
	take := s.faults.take
	if !complete {
		take = None
	}
	c.fault = s.journal.begin(c.record, take)
	return c
}

// decide lets the fault of this call strike before, instead of, or after performing it.
func (s *System) decide(c *call, unread error) (answer, way) {
	var tooLarge *http.MaxBytesError
	if errors.As(unread, &tooLarge) {
		return statusError(http.StatusRequestEntityTooLarge, "too_large", unread.Error()), whole
	} else if unread != nil {
		return answer{}, dropped
	}
	f := c.fault
	switch f.Kind {
	case KindStatus:
		return statusError(f.Status, "simulated", http.StatusText(f.Status)), whole
	case KindRetryAfter:
		return refusal(f.Status, f.Seconds), whole
	case KindHang:
		return answer{}, hanging
	case KindReset:
		return answer{}, reset
	case KindThrottle:
		if a, ok := admit(f.limiter); !ok {
			return a, whole
		}
	case KindSlow:
		if !pause(c.request.Context(), time.Duration(f.Millis)*time.Millisecond) {
			return answer{}, dropped
		}
	}
	a, ok := s.check(c)
	if ok {
		if a, ok = s.perform(c); !ok {
			return answer{}, dropped
		}
	}
	return a, f.way()
}

// way is how a fault treats an answer that was made.
func (f Fault) way() way {
	switch f.Kind {
	case KindTruncate:
		return half
	case KindAcceptThenDrop:
		return dropped
	case KindAcceptThenHang:
		return hanging
	}
	return whole
}

// check is what every provider does at its door.
func (s *System) check(c *call) (answer, bool) {
	if a, ok := admit(s.limiter); !ok {
		return a, false
	}
	if !s.credential.accepts(c.request.Header) {
		s.journal.count(func(n *Counts) { n.BadCredentials++ })
		return statusError(http.StatusUnauthorized, "unauthorized", "the credentials are missing or wrong"), false
	}
	if c.badSign != nil {
		return statusError(http.StatusUnauthorized, "bad_signature", c.badSign.Error()), false
	}
	return answer{}, true
}

// perform routes the call; a write with a key goes through the ledger where keys are honoured. It reports false when
// the caller left while the first call with its key was still running.
func (s *System) perform(c *call) (answer, bool) {
	handle, missing := s.route(c)
	if handle == nil {
		return missing, true
	}
	if !s.provider.honours || c.key == "" || c.request.Method == http.MethodGet {
		return handle(c), true
	}
	a, replayed, err := s.ledger.do(c.request.Context(), c.key, fingerprint(c), func() answer { return handle(c) })
	if replayed {
		s.journal.replayed(c.record)
	}
	return a, err == nil
}

func (s *System) route(c *call) (handler, answer) {
	missing := notFound()
	for _, r := range s.provider.routes {
		prefix, named := strings.CutSuffix(r.path, "{id}")
		rest, ok := strings.CutPrefix(c.request.URL.Path, prefix)
		if !ok || named != (rest != "") || strings.Contains(rest, "/") {
			continue
		}
		if r.method == c.request.Method {
			c.id = rest
			return r.handle, answer{}
		}
		missing = statusError(http.StatusMethodNotAllowed, "method_not_allowed", "see the documentation")
	}
	return nil, missing
}

// keyOf reads an idempotency key, raw or as a structured string (RFC 9651 section 3.3.3).
func keyOf(h http.Header, field string) string {
	value := h.Get(field)
	for _, other := range []string{"X-Idempotency-Key", "Idempotency-Key"} {
		if value == "" {
			value = h.Get(other)
		}
	}
	if strings.HasPrefix(value, `"`) {
		if item, err := httpsfv.UnmarshalItem([]string{value}); err == nil {
			if text, ok := item.Value.(string); ok {
				return text
			}
		}
	}
	return value
}

// pause waits d and reports whether the caller is still there.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
