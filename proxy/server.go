// Package proxy serves the application: it finds the adapter of each call, runs the call through that adapter's chain
// of policies, and passes the answer back.
//
// The configuration is compiled into a Snapshot that is swapped whole by one atomic pointer. Calls in flight finish on
// the snapshot they started with; what is remembered of an external system lives in policy.Host and outlives it.
package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/shared"
	"github.com/fsm-integrations/sidecar/policy"
)

// Server is the running proxy.
type Server struct {
	deps      policy.Deps
	version   string
	started   time.Time
	pseudonym string // in Via; random, so that a loop through this process is told from a chain of sidecars

	snapshot atomic.Pointer[Snapshot]
	ready    atomic.Bool
	draining atomic.Bool
	busy     sync.WaitGroup // exchanges in flight
	busyLock sync.RWMutex   // held for writing while draining begins, so that busy never grows after it was waited for

	mu        sync.Mutex // serialises Use and Shutdown
	listeners map[string]*listener
	breakers  *policy.BreakerShare // nil: nothing is shared
	courier   *courier             // nil: nothing is accepted
	forwarder *dlq.Forwarder       // nil: letters are not forwarded
	sink      string               // what takes them, in words
	changed   func()               // told when Alerts may have changed
	replaying sync.Map             // letter id → struct{}
	auto      *autoReplays
	checks    *healthChecks
	warming   sync.WaitGroup // secrets fetched before a call needs them
	claims    *shared.Claims // of replays among sidecars; nil: nothing is shared
	reload    atomic.Pointer[ReloadStatus]
	cancel    context.CancelCauseFunc
	base      context.Context
}

// New returns a server that serves nothing yet; Use gives it a configuration.
func New(deps policy.Deps, version string) *Server {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Server{deps: deps, version: version, started: time.Now(), changed: func() {}, pseudonym: "integration-sidecar-" + hex.EncodeToString(id[:]),
		listeners: map[string]*listener{}, claims: newClaims(deps.Shared)}
	s.base, s.cancel = context.WithCancelCause(context.Background())
	s.reload.Store(&ReloadStatus{})
	s.auto = &autoReplays{server: s, pauses: builtInAutoPauses(), running: map[string]*autoReplay{}}
	s.checks = &healthChecks{server: s, running: map[string]*healthChecking{}}
	if deps.Shared != nil {
		s.breakers = policy.NewBreakerShare(deps.Shared)
	}
	if deps.Accepted != nil {
		s.courier = newCourier(s, deps.Accepted)
	}
	deps.Metrics.Registry.MustRegister(&gauges{s})
	return s
}

// Use compiles doc and serves it. When it fails nothing has changed. Adapters that are new, changed or gone take
// effect at once for calls that arrive from then on.
func (s *Server) Use(doc *config.Document) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.snapshot.Load()
	if err := fixed(before, doc); err != nil {
		return err
	}
	next, err := compile(doc, before, s.deps, s.breakerChanged)
	if err != nil {
		return err
	}
	opened, err := s.open(next)
	if err != nil {
		next.abandon(before)
		return err
	}
	s.snapshot.Store(next)
	s.breakers.Watch(next.sharedBreakers())
	s.auto.watch(next)
	s.checks.watch(next)
	s.warnOfSecrets(next)
	for _, l := range opened {
		go l.serve(s.deps.Log)
	}
	if before != nil {
		s.closeUnused(next)
		before.retire(next)
		s.forget(before, next)
	}
	s.ready.Store(true)
	s.courier.resume("") // what stopped exchanges may have been in the configuration
	s.courier.join(slices.ContainsFunc(next.ordered, (*adapter).async))
	s.courier.begin()
	return nil
}

// fixed refuses changes that need a restart: what other parts of the process hold on to.
func fixed(before *Snapshot, doc *config.Document) error {
	if before == nil {
		return nil
	}
	was := before.document
	switch {
	case was.Listen.AdminToken != doc.Listen.AdminToken:
		return errors.New("listen.admin_token cannot name another secret while the sidecar runs; restart it (a new token under the same name is followed)")
	case was.Listen.Admin != doc.Listen.Admin, was.Listen.Probes != doc.Listen.Probes:
		return errors.New("listen.admin and listen.probes cannot change while the sidecar runs; restart it")
	case !reflect.DeepEqual(was.DLQ, doc.DLQ):
		return errors.New("dlq cannot change while the sidecar runs; restart it")
	case !reflect.DeepEqual(was.Redis, doc.Redis):
		return errors.New("redis cannot change while the sidecar runs; restart it")
	case !reflect.DeepEqual(was.Vault, doc.Vault):
		return errors.New("vault cannot change while the sidecar runs; restart it")
	case was.Telemetry.OTLPEndpoint != doc.Telemetry.OTLPEndpoint:
		return errors.New("telemetry.otlp_endpoint cannot change while the sidecar runs; restart it")
	case was.Telemetry.LogFormat != doc.Telemetry.LogFormat, was.Telemetry.ServiceName != doc.Telemetry.ServiceName:
		return errors.New("telemetry.log_format and telemetry.service_name cannot change while the sidecar runs; restart it")
	}
	return nil
}

// breakerChanged logs what on-call wants to read in order: when a breaker opened, and when it closed again.
func (s *Server) breakerChanged(id *policy.Identity, c policy.BreakerChange) {
	level := slog.LevelInfo
	if c.To == policy.BreakerOpened {
		level = slog.LevelWarn
	}
	s.log().Log(context.Background(), level, "breaker "+c.To.String(), "adapter_id", id.ID, "before", c.From.String(), "cause", string(c.Cause))
	s.deps.Metrics.BreakerChanged(id.ID, c.To.String())
	s.breakers.Tell(id.Name, c)
	if c.To == policy.BreakerClosed {
		s.courier.resume(id.Name)
	}
	s.changed()
	if c.To != policy.BreakerHalfOpen {
		s.auto.breakerChanged(id.Name)
	}
}

// forget drops the series of adapters that are gone.
func (s *Server) forget(before, next *Snapshot) {
	ids := map[string]bool{}
	for _, a := range next.ordered {
		ids[a.identity.ID] = true
	}
	for _, a := range before.ordered {
		if !ids[a.identity.ID] {
			s.deps.Metrics.Forget(a.identity.ID)
		}
		if next.byName[a.identity.Name] == nil {
			s.deps.Recent.Forget(a.identity.Name)
		}
	}
}

// enter counts a call in, unless the server is draining.
func (s *Server) enter() bool {
	s.busyLock.RLock()
	defer s.busyLock.RUnlock()
	if s.draining.Load() {
		return false
	}
	s.busy.Add(1)
	return true
}

// Shutdown stops taking calls, waits for those in flight until ctx ends, then cuts off the rest and closes.
func (s *Server) Shutdown(ctx context.Context) error {
	s.busyLock.Lock()
	s.draining.Store(true)
	s.busyLock.Unlock()
	s.courier.halt()
	s.auto.stop()
	s.checks.stop()
	idle := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = errors.New("calls were still in flight when the drain time ended")
	}
	s.cancel(policy.ErrStopped)
	answered := false
	select {
	case <-idle: // what was cut off has its answer too; it may still be on its way out
		answered = true
	case <-time.After(closeGrace):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		l.close(answered)
	}
	if snapshot := s.snapshot.Load(); snapshot != nil {
		snapshot.retire(&Snapshot{})
	}
	<-idle
	s.auto.done.Wait()
	s.checks.done.Wait()
	s.warming.Wait()
	s.breakers.Close()
	return err
}

// NoteReload remembers how a load of the configuration went; faults is "" when it succeeded.
func (s *Server) NoteReload(file, faults string) {
	s.reload.Store(&ReloadStatus{File: file, Time: time.Now(), Success: faults == "", Error: faults})
	if faults != "" {
		s.deps.Metrics.ReloadSuccess.Set(0)
		return
	}
	s.deps.Metrics.ReloadSuccess.Set(1)
	s.deps.Metrics.ReloadTime.SetToCurrentTime()
}

func (s *Server) log() *slog.Logger { return s.deps.Log }
