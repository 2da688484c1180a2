package oauth

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

const (
	firstPause  = time.Second
	longest     = 30 * time.Second
	longestWait = 5 * time.Minute // that a Retry-After is obeyed for
	// lookAgain is how often the client secret is read while the endpoint is not asked: a new one is tried at once.
	lookAgain = time.Second
)

// ErrWaited is the error of a caller whose time ended before there was a token. The fetch goes on.
var ErrWaited = errors.New("the time to wait for a token has ended")

// Source is the token of one client.
type Source struct {
	fetch   func(context.Context, secret.Value) (*Token, *Failure)
	read    func(context.Context) (secret.Value, error)
	timeout time.Duration
	count   func(Result)

	mu       sync.Mutex
	token    *Token   // nil: none, or it was refused
	flight   *flight  // nil: no fetch is under way
	failure  *Failure // of the last flight; nil when it succeeded
	refusal  *Failure // the endpoint's last, while failures is not 0
	failures int      // of the endpoint, in a row
	lookAt   time.Time
	askAt    time.Time
	used     secret.Value // the client secret of the last fetch
}

// flight is one fetch under way. Its result may be read when done is closed.
type flight struct {
	done    chan struct{}
	token   *Token
	failure *Failure
}

// Get returns a token that serves, waiting for one until ctx or the deadline ends. A token and an error together say
// that the token serves, and why it could not be renewed yet. Errors are a *Failure, ErrWaited or that of ctx.
func (s *Source) Get(ctx context.Context, deadline time.Time) (*Token, error) {
	s.mu.Lock()
	now := time.Now()
	if t := s.token; t.serves(now) {
		if !now.Before(t.renew) {
			s.launch(now)
		}
		defer s.mu.Unlock()
		return t, s.failure.orNil()
	}
	f, failure := s.launch(now), s.failure
	s.mu.Unlock()
	if f == nil {
		return nil, failure
	}
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, ErrWaited)
	defer cancel()
	select {
	case <-f.done:
		return f.token, f.failure.orNil()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// orNil keeps a nil *Failure from becoming an error that is not nil.
func (f *Failure) orNil() error {
	if f == nil {
		return nil
	}
	return f
}

// Refused is told that the external system does not take a token, and says whether another is to be had: the token was
// replaced meanwhile, or it is old enough to be dropped.
func (s *Source) Refused(t *Token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != t {
		return true
	}
	if time.Since(t.issued) < young {
		return false
	}
	s.token = nil
	return true
}

// launch joins the fetch under way or begins one; nil when it is too early after a failure. s is locked.
func (s *Source) launch(now time.Time) *flight {
	if s.flight == nil && !now.Before(s.lookAt) {
		s.flight = &flight{done: make(chan struct{})}
		go s.run(s.flight)
	}
	return s.flight
}

// run is a fetch on its own: it ends by its own timeout, whoever waits for it.
func (s *Source) run(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	f.token, f.failure = s.obtain(ctx)
	s.mu.Lock()
	s.flight = nil
	s.settle(f, time.Now())
	s.mu.Unlock()
	close(f.done)
}

// obtain reads the client secret, each time anew, so that a rotated one is followed, and asks the endpoint. While the
// endpoint is given a pause only a new secret is a reason to ask.
func (s *Source) obtain(ctx context.Context) (*Token, *Failure) {
	key, err := s.read(ctx)
	if err != nil {
		s.count(Secret)
		return nil, &Failure{Result: Secret, cause: err}
	}
	if spared := s.spare(key); spared != nil {
		return nil, spared
	}
	token, failure := s.fetch(ctx, key)
	if failure != nil {
		s.count(failure.Result)
	} else {
		s.count(OK)
	}
	return token, failure
}

// spare returns the endpoint's last failure when nothing has changed since and it is too early to ask again.
func (s *Source) spare(key secret.Value) *Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.askAt) && bytes.Equal(key.Reveal(), s.used.Reveal()) {
		return s.refusal
	}
	s.used = key
	return nil
}

// settle keeps what a fetch came to. s is locked.
func (s *Source) settle(f *flight, now time.Time) {
	switch failure := f.failure; {
	case failure == nil:
		s.token, s.failure, s.refusal, s.failures = f.token, nil, nil, 0
		s.lookAt, s.askAt = time.Time{}, time.Time{}
		return
	case failure.Result == Secret:
		failure.RetryAt = now.Add(lookAgain)
	case failure != s.refusal:
		s.refusal = failure
		s.failures++
		s.askAt = now.Add(max(pause(s.failures), failure.wait))
		failure.RetryAt = s.askAt
	}
	s.failure, s.lookAt = f.failure, now.Add(lookAgain)
	if now.Before(s.askAt) && s.askAt.Before(s.lookAt) {
		s.lookAt = s.askAt
	}
}

// pause is the time the endpoint is left alone after n failures in a row: doubled, and lengthened by up to a fifth, so
// that many sidecars do not come back together.
func pause(n int) time.Duration {
	d := longest
	if n < 6 {
		d = firstPause << (n - 1)
	}
	return d + rand.N(d/5)
}
