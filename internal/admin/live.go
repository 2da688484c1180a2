package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/fsm-integrations/sidecar/internal/recent"
	"github.com/fsm-integrations/sidecar/proxy"
)

// Exchanges are the last exchanges, newest first.
type Exchanges struct {
	Exchanges []*recent.Exchange `json:"exchanges"`
}

func (s *server) exchanges(*http.Request) (any, error) {
	return Exchanges{s.Recent.Exchanges()}, nil
}

// SeriesPage is a quarter of an hour of every adapter.
type SeriesPage struct {
	Now         time.Time                `json:"now"`
	StepSeconds int                      `json:"step_seconds"`
	Adapters    map[string]recent.Series `json:"adapters"`
}

func (s *server) series(*http.Request) (any, error) {
	now := time.Now()
	return SeriesPage{Now: now, StepSeconds: int(recent.Step / time.Second), Adapters: s.Recent.Series(now)}, nil
}

const (
	maxViewers = 8 // pages that are told of changes at the same time
	eventPause = time.Second
	heartbeat  = 15 * time.Second
	eventWrite = 10 * time.Second // a page that does not read for so long is gone
)

// Event is what a page is told when something has changed.
type Event struct {
	Now          time.Time    `json:"now"`
	Status       proxy.Status `json:"status"`
	LastExchange uint64       `json:"last_exchange"` // number of the newest exchange
}

// events tells a page of changes (server-sent events, HTML Living Standard section 9.2) until it goes away or the sidecar
// drains.
func (s *server) events(r *http.Request) (any, error) {
	if r.Method == http.MethodHead {
		return text(""), nil
	}
	select {
	case s.viewers <- struct{}{}:
	default:
		return nil, refuse(http.StatusServiceUnavailable, "as many pages as can be are told of changes already; close one, or ask for /api/v1/status")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { <-s.viewers }()
		w.Header().Set("Content-Type", "text/event-stream")
		v := &viewer{server: s, control: http.NewResponseController(w), w: w}
		v.watch(r)
		_ = v.control.SetWriteDeadline(time.Time{}) // the connection may serve another request
	}), nil
}

// viewer is one page that is told of changes.
type viewer struct {
	server  *server
	w       http.ResponseWriter
	control *http.ResponseController
	told    []byte    // status and number last told
	at      time.Time // when anything was told last
}

func (v *viewer) watch(r *http.Request) {
	tick := time.NewTicker(eventPause)
	defer tick.Stop()
	for v.tell() {
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// tell sends what has changed, or a sign of life when nothing has for long. It reports whether to go on.
func (v *viewer) tell() bool {
	now := time.Now()
	e := Event{Now: now, Status: v.server.Controller.Status(), LastExchange: v.server.Recent.Last()}
	draining := e.Status.Draining
	e.Now = time.Time{}
	told, err := json.Marshal(e)
	if err != nil { // nothing in it can fail
		return false
	}
	switch {
	case !bytes.Equal(told, v.told):
		e.Now = now
		data, _ := json.Marshal(e)
		err = v.send(now, "event: status\ndata: ", string(data), "\n\n")
		v.told = told
	case now.Sub(v.at) >= heartbeat:
		err = v.send(now, ": still here\n\n")
	}
	if draining && err == nil {
		_ = v.send(now, "event: draining\ndata: {}\n\n")
	}
	return err == nil && !draining
}

func (v *viewer) send(now time.Time, parts ...string) error {
	v.at = now
	_ = v.control.SetWriteDeadline(now.Add(eventWrite)) // not every writer has one; then the server's own counts
	for _, part := range parts {
		if _, err := v.w.Write([]byte(part)); err != nil {
			return err
		}
	}
	return v.control.Flush()
}
