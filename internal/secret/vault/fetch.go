package vault

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// await returns what to use of a path whose reading is not good any more: a new one, else one that may still be used, else
// the reason why there is none.
func (s *Store) await(ctx context.Context, e *entry) *reading {
	e.mu.Lock()
	now := time.Now()
	if r := e.latest.Load(); r != nil && now.Before(r.expires) {
		e.mu.Unlock()
		return r
	}
	flight := s.begin(e, now)
	if flight == nil {
		defer e.mu.Unlock()
		return e.usable(now, s.config.StaleFor)
	}
	e.mu.Unlock()
	patience := time.NewTimer(s.config.Timeout)
	defer patience.Stop()
	select {
	case <-flight:
	case <-patience.C:
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.usable(time.Now(), s.config.StaleFor)
}

// begin returns the fetch of a path that is under way, after starting it if there was none; nil when it is not the time to
// ask Vault. The caller holds the lock of e.
func (s *Store) begin(e *entry, now time.Time) chan struct{} {
	if e.flight != nil {
		return e.flight
	}
	if now.Before(e.again) {
		return nil
	}
	why, single := s.gate.closed(now)
	if why != nil {
		if e.why == nil {
			e.why = why
		}
		e.refused = e.refused || why.answer() // who may not log in may not read either
		return nil
	}
	if s.base.Err() != nil {
		return nil
	}
	flight := make(chan struct{})
	e.flight = flight
	s.work.Go(func() { s.fetch(e, single) })
	return flight
}

// fetch asks Vault and keeps the answer. It belongs to no call: callers that go away do not end it for the others. single
// tells that Vault is down and this is to find out whether it still is.
func (s *Store) fetch(e *entry, single bool) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.base.Done():
		s.land(e, nil, &Failure{Unreachable, "the sidecar stops"}, time.Now())
		return
	}
	if down, _, why := s.gate.state(); down && !single { // given up while this one waited for its turn
		s.land(e, nil, why, time.Now())
		return
	}
	ctx, cancel := context.WithTimeout(s.base, s.config.Timeout)
	defer cancel()
	asked := time.Now()
	fields, err := s.read(ctx, e.path)
	failure, _ := errors.AsType[*Failure](err)
	result := "ok"
	if failure != nil {
		result = string(failure.Reason)
	}
	s.config.Observe(result)
	s.gate.heard(failure, time.Now())
	s.land(e, fields, failure, asked)
}

// read asks Vault for a secret, logging in if need be. A token that Vault does not know any more is replaced once.
func (s *Store) read(ctx context.Context, path string) (map[string]secret.Value, error) {
	generation, err := s.session.ready(ctx)
	if err != nil {
		return nil, err
	}
	fields, err := s.readOnce(ctx, path)
	if f, ok := errors.AsType[*Failure](err); ok && f.Reason == Denied {
		renewed, failed := s.session.doubt(ctx, generation)
		switch {
		case failed != nil:
			return nil, failed
		case renewed:
			return s.readOnce(ctx, path)
		}
	}
	return fields, err
}

// land keeps what a fetch brought and lets those go on who waited for it.
func (s *Store) land(e *entry, fields map[string]secret.Value, failure *Failure, asked time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	flight := e.flight
	e.flight, e.why = nil, failure
	defer close(flight)
	now := time.Now()
	if failure == nil {
		e.failures, e.again, e.refused = 0, time.Time{}, false
		early := s.config.RefreshAt * (0.9 + 0.1*rand.Float64()) // or the sidecars of a fleet would all ask at once
		e.latest.Store(&reading{fields: fields, fetched: asked, expires: asked.Add(s.config.TTL),
			refresh: asked.Add(time.Duration(early * float64(s.config.TTL)))})
		return
	}
	if !failure.answer() {
		e.again = now.Add(min(pause(1), s.config.TTL)) // beyond that it is the gate that spares Vault
		return
	}
	e.failures++
	e.again, e.refused = now.Add(min(pause(e.failures), s.config.TTL)), true
	if r := e.latest.Load(); !r.good() || !now.Before(r.expires) {
		e.latest.Store(&reading{failure: failure, fetched: asked, expires: e.again})
	}
}

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 15 * time.Second
)

// pause is how long to leave Vault alone after so many failures in a row: doubled each time, between half of it and all.
func pause(failures int) time.Duration {
	full := min(firstPause<<min(failures, 10), longestPause)
	return full/2 + rand.N(full/2)
}
