package admin

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/proxy"
)

// order is the body of every mutating call.
type order struct {
	Who    string `json:"who"`
	Force  bool   `json:"force,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`

	Run string   `json:"run,omitempty"` // of a replay: name of the run it is part of
	For string   `json:"for,omitempty"` // of a log level: a duration
	IDs []string `json:"ids,omitempty"` // of an adoption: whole ids; none: all that are chosen otherwise
}

func (s *server) order(r *http.Request) (order, error) {
	var o order
	err := decode(r, &o)
	o.Who = cleanName(o.Who)
	if o.Run != "" {
		o.Run = cleanName(o.Run)
	}
	return o, err
}

const unknownName = "unknown"

// cleanName keeps the name of whoever asks fit for a log line and the audit of a letter.
func cleanName(who string) string {
	who = strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, who))
	if who == "" {
		return unknownName
	}
	if runes := []rune(who); len(runes) > 64 {
		who = string(runes[:64])
	}
	return who
}

// replay sends a letter again. It goes on to its end when the client goes away: half a replay would leave an outcome
// that nobody knows.
func (s *server) replay(r *http.Request) (any, error) {
	o, err := s.order(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	result, err := s.Controller.Replay(context.WithoutCancel(r.Context()), id,
		proxy.ReplayOptions{Who: o.Who, Run: o.Run, Force: o.Force, DryRun: o.DryRun})
	if err != nil && result.Result != "" {
		// It was sent. Whoever is told only that something failed would send it again.
		s.Log.Error("a replay could not be written on its letter", "letter_id", id, "result", result.Result, "error", err)
		result.Reason = strings.TrimPrefix(result.Reason+"; this could not be written on the letter, which still waits", "; ")
		err = nil
	}
	action := "replay"
	switch {
	case o.DryRun:
		action = "dry run of a replay"
	case o.Force:
		action = "replay with force"
	}
	s.audit(r, o.Who, event{action, id, result.Result, result.Reason}, err)
	return result, err
}

// Done is the answer to an action that has nothing more to say.
type Done struct {
	Object  string               `json:"object"`
	Outcome string               `json:"outcome"`
	Breaker *proxy.BreakerStatus `json:"breaker,omitempty"` // as it stands afterwards
}

func (s *server) discard(r *http.Request) (any, error) {
	o, err := s.order(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	if err = s.discardable(id); err == nil {
		err = s.Letters.Discard(context.WithoutCancel(r.Context()), id, o.Who)
	}
	s.audit(r, o.Who, event{action: "discard", object: id, outcome: "discarded"}, err)
	return Done{Object: id, Outcome: "discarded"}, err
}

// discardable says no about a letter that has an outcome already: the spool would leave it as it is, without a word.
func (s *server) discardable(id string) error {
	l, err := s.Letters.Get(id)
	if err != nil || l.State.Open() || l.State == dlq.Discarded {
		return err
	}
	return refuse(http.StatusConflict, "the letter is "+string(l.State)+" already")
}

func (s *server) breaker(r *http.Request) (any, error) {
	o, err := s.order(r)
	if err != nil {
		return nil, err
	}
	name, action := r.PathValue("adapter"), proxy.BreakerAction(r.PathValue("action"))
	switch action {
	case proxy.BreakerOpen, proxy.BreakerClose, proxy.BreakerReset:
	default:
		return nil, refuse(http.StatusNotFound, "a breaker can be told to open, close or reset")
	}
	err = s.Controller.SetBreaker(name, action)
	s.audit(r, o.Who, event{action: "breaker " + string(action), object: name, outcome: "done"}, err)
	return Done{Object: name, Outcome: string(action), Breaker: s.breakerOf(name)}, err
}

func (s *server) breakerOf(name string) *proxy.BreakerStatus {
	for _, a := range s.Controller.Status().Adapters {
		if a.Name == name || a.ID == name {
			return &a.Breaker
		}
	}
	return nil
}

// reload reads the configuration again; faults change nothing and come back as 422.
func (s *server) reload(r *http.Request) (any, error) {
	o, err := s.order(r)
	if err != nil {
		return nil, err
	}
	if s.Reload == nil {
		return nil, refuse(http.StatusNotImplemented, "this sidecar has no configuration file to read again")
	}
	err = s.Reload(context.WithoutCancel(r.Context()))
	s.audit(r, o.Who, event{action: "reload", object: "configuration", outcome: "loaded"}, err)
	if err != nil {
		p := refuse(http.StatusUnprocessableEntity, "the configuration was not taken; the sidecar goes on with the one it has")
		p.Faults = strings.Split(strings.TrimSpace(err.Error()), "\n")
		return nil, p
	}
	return Done{Object: "configuration", Outcome: "loaded"}, nil
}
