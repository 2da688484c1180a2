package vault

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// session is the token that the sidecar has, and the only place that logs in. One request about the token is under way at a
// time; all who need a token wait for it.
type session struct {
	store *Store

	mu         sync.Mutex
	lease      lease
	generation uint64    // of the token; 0: there is none
	expires    time.Time // zero: never
	renew      time.Time // when to renew it or to log in again; zero: never

	flight   *errand
	failures int // to log in, in a row
	again    time.Time
	why      *Failure
}

// errand is one request about the token.
type errand struct {
	done chan struct{}
	err  error
}

// ready returns when there is a token, with its generation. Its error is a *Failure.
func (s *session) ready(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	now := time.Now()
	if s.generation > 0 && (s.expires.IsZero() || now.Before(s.expires)) {
		defer s.mu.Unlock()
		return s.generation, nil
	}
	if now.Before(s.again) {
		defer s.mu.Unlock()
		return 0, s.why
	}
	err := s.run(ctx, s.logIn)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation, err
}

// doubt finds out whether Vault refuses because it does not know the token any more, and gets another one then: renewed
// tells that it is worth trying again. generation is of the token that was refused.
func (s *session) doubt(ctx context.Context, generation uint64) (renewed bool, err error) {
	s.mu.Lock()
	if s.generation == generation {
		err = s.run(ctx, s.verify)
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	return s.generation != generation, err
}

// verify logs in again if Vault does not know the token any more.
func (s *session) verify(ctx context.Context) error {
	_, err := s.store.client.Auth().Token().LookupSelfWithContext(ctx)
	if err == nil || judge(err, "").Reason != Denied {
		return nil // the token is known, or Vault cannot say: what it said of the secret stands
	}
	s.mu.Lock()
	again, why := s.again, s.why
	s.mu.Unlock()
	if time.Now().Before(again) {
		return why
	}
	return s.logIn(ctx)
}

// run has work done by one for all. The caller holds the lock, which is free when run returns.
func (s *session) run(ctx context.Context, work func(context.Context) error) error {
	e := s.flight
	if e == nil {
		e = &errand{done: make(chan struct{})}
		s.flight = e
		s.store.work.Go(func() {
			ctx, cancel := context.WithTimeout(s.store.base, s.store.config.Timeout)
			defer cancel()
			err := work(ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.flight, e.err = nil, err
			close(e.done)
		})
	}
	s.mu.Unlock()
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		return &Failure{Unreachable, "Vault cannot be reached: " + reason(ctx.Err())}
	}
}

// logIn replaces the token.
func (s *session) logIn(ctx context.Context) error {
	l, err := s.store.login(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := errors.AsType[*Failure](err); ok {
		s.failures++
		if !f.answer() {
			s.failures = 1 // beyond that it is the gate that spares Vault
		}
		s.again, s.why = time.Now().Add(pause(s.failures)), f
		return f
	}
	s.store.client.SetToken(l.token)
	s.failures, s.again, s.why = 0, time.Time{}, nil
	s.generation++
	s.take(l)
	return nil
}

// take notes how long a token lasts. The caller holds the lock.
func (s *session) take(l lease) {
	s.lease, s.expires, s.renew = l, time.Time{}, time.Time{}
	if l.lasts > 0 {
		s.expires = l.obtained.Add(l.lasts)
		share := 0.6 + 0.07*rand.Float64() // about two thirds, and not the whole fleet at once
		s.renew = l.obtained.Add(time.Duration(share * float64(l.lasts)))
	}
}

// prolong renews a token when it is time, or logs in again when it cannot be renewed further.
func (s *session) prolong() {
	s.mu.Lock()
	now := time.Now()
	if s.generation == 0 || s.renew.IsZero() || now.Before(s.renew) || now.Before(s.again) {
		s.mu.Unlock()
		return
	}
	before := s.lease
	_ = s.run(s.store.base, func(ctx context.Context) error {
		if before.renewable && s.renewed(ctx, before) {
			return nil
		}
		return s.logIn(ctx)
	})
}

// renewed reports whether Vault gave the token as much time again as it had at first, or nearly.
func (s *session) renewed(ctx context.Context, before lease) bool {
	asked := time.Now()
	answer, err := s.store.client.Auth().Token().RenewSelfWithContext(ctx, int(before.lasts/time.Second))
	if err != nil || answer == nil || answer.Auth == nil {
		return false
	}
	lasts := time.Duration(answer.Auth.LeaseDuration) * time.Second
	if lasts > 0 && lasts < before.lasts*2/3 {
		return false // its longest life is near
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(lease{token: before.token, obtained: asked, lasts: lasts, renewable: answer.Auth.Renewable})
	return true
}

// followed logs in again when the token's file holds another token.
func (s *session) followed() {
	if s.store.config.Login.Method != TokenFile {
		return
	}
	value, err := s.store.config.Login.Token()
	s.mu.Lock()
	if err != nil || s.generation == 0 || string(value.Reveal()) == s.lease.token || time.Now().Before(s.again) {
		s.mu.Unlock()
		return
	}
	_ = s.run(s.store.base, s.logIn)
}
