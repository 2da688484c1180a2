package simulator

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// System is one external system, running.
type System struct {
	Name string // as in Names
	URL  string // base URL, without a trailing slash

	provider   provider
	credential Credential
	signature  Signature
	limiter    *rate.Limiter // nil: no limit
	server     *http.Server
	stopped    chan struct{}
	cancel     context.CancelFunc
	once       sync.Once
	calls      callGate
	faults     faultQueue
	journal    journal
	ledger     ledger

	mu        sync.Mutex
	resources map[string]any // by API path
	random    *rand.Rand
}

func start(p provider, set Setting, seed uint64) (*System, error) {
	if set.Address == "" {
		set.Address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", set.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", set.Address, err)
	}
	s := build(p, set, seed)
	s.URL = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.server = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		defer close(s.stopped)
		_ = s.server.Serve(listener) // always ErrServerClosed, or the listener is gone with the process
	}()
	return s, nil
}

func build(p provider, set Setting, seed uint64) *System {
	if set.Credential == (Credential{}) {
		set.Credential = p.credential
	}
	if set.Limit == (Limit{}) {
		set.Limit = p.limit
	}
	p.honours = p.honours && !set.IgnoreKeys
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(p.name)) // a hash never fails
	s := &System{Name: p.name, provider: p, credential: set.Credential, signature: set.Signature.withDefaults(),
		limiter: set.Limit.limiter(), stopped: make(chan struct{}), resources: map[string]any{},
		random: rand.New(rand.NewPCG(seed, hash.Sum64()))}
	s.journal.effects, s.journal.arrived = map[string]int{}, make(chan struct{})
	s.ledger.entries = map[string]*entry{}
	return s
}

// Credential is what callers must present.
func (s *System) Credential() Credential { return s.credential }

// Honours reports whether the system drops duplicates by idempotency key.
func (s *System) Honours() bool { return s.provider.honours }

// KeyField is the field in which the system documents its idempotency key. Every system also reads the other usual
// name, and a key as a structured string (RFC 9651) as well as a raw one.
func (s *System) KeyField() string { return s.provider.keyField }

// Close stops the system and cuts open connections. Further calls do nothing.
func (s *System) Close() (err error) {
	s.once.Do(func() {
		s.cancel()
		if err = s.server.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
		<-s.stopped
		s.calls.close()
	})
	return err
}

// newID returns the next id of the system, such as PX-1A2B3C4D.
func (s *System) newID(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s-%08X", prefix, s.random.Uint32())
}

func (s *System) store(path string, resource any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources[path] = resource
}

func (s *System) load(path string) (any, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource, ok := s.resources[path]
	return resource, ok
}

// callGate counts the calls in progress, so that Close can wait for them.
type callGate struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// enter reports whether a call may begin; running.Done ends it.
func (g *callGate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running.Add(1)
	}
	return !g.closed
}

func (g *callGate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
}
