package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Faults is the body of PUT /_control/faults: what is given replaces what was set.
type Faults struct {
	Next    []Fault `json:"next"`    // one per request
	Default *Fault  `json:"default"` // absent: unchanged
}

// handler serves the API and, beside it, what is not part of it: health and control.
func (s *System) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.serve)
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("PUT /_control/faults", s.putFaults)
	mux.HandleFunc("DELETE /_control/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.Recover()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_control/counts", func(w http.ResponseWriter, _ *http.Request) {
		send(w, answer{status: http.StatusOK, body: s.Counts()}, false)
	})
	mux.HandleFunc("GET /_control/records", func(w http.ResponseWriter, _ *http.Request) {
		send(w, answer{status: http.StatusOK, body: s.Records()}, false)
	})
	return mux
}

// health is well unless a standing fault makes the system useless; it consumes no fault.
func (s *System) health(w http.ResponseWriter, _ *http.Request) {
	s.faults.mu.Lock()
	kind := s.faults.standing.Kind
	s.faults.mu.Unlock()
	switch kind {
	case KindNone, KindSlow, KindThrottle:
		send(w, answer{status: http.StatusOK, body: map[string]string{"status": "ok", "system": s.Name}}, false)
	default:
		send(w, answer{status: http.StatusServiceUnavailable, body: map[string]string{"status": "down", "system": s.Name}}, false)
	}
}

// putFaults takes all of the faults or, when one is wrong, none.
func (s *System) putFaults(w http.ResponseWriter, r *http.Request) {
	var set Faults
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&set)
	checked := set.Next
	if set.Default != nil {
		checked = append(checked[:len(checked):len(checked)], *set.Default)
	}
	for i, f := range checked {
		if bad := f.check(); err == nil && bad != nil {
			err = fmt.Errorf("fault %d: %w", i+1, bad)
		}
	}
	if err != nil {
		send(w, statusError(http.StatusBadRequest, "malformed", err.Error()), false)
		return
	}
	if set.Next != nil {
		s.faults.clear()
		s.Next(set.Next...)
	}
	if set.Default != nil {
		s.Default(*set.Default)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (q *faultQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = nil
}
