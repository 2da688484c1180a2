// Package vault reads secrets from a HashiCorp Vault (KV engine, version 2) and keeps them while they are good.
//
// A secret is asked for once per TTL, by its path, whoever needs it and whichever of its fields. It is asked for again in
// the background before the TTL ends, if somebody used it lately, so that calls do not wait. A Vault that cannot be reached
// is no answer: what was read stays in use for Config.StaleFor after its TTL, then calls fail closed. That a secret is
// denied, gone or empty is an answer: nothing is used beyond its TTL against it.
//
// No trouble of Vault costs a call more than Config.Timeout, and none makes a crowd: one fetch is under way per path, few
// in all, and after some failures in a row only one at a time, after growing pauses.
package vault

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// Config says which Vault to use, and how.
type Config struct {
	Address   string // URL
	Namespace string // "" for none
	Mount     string // of the KV engine
	TLS       *tls.Config
	Login     Login

	TTL       time.Duration // longest that a secret is used without asking again
	RefreshAt float64       // share of the TTL after which it is asked for again in the background
	StaleFor  time.Duration // how much longer it is used while Vault cannot be reached
	Timeout   time.Duration // longest that a call waits for Vault
	MaxPaths  int           // secrets kept; beyond it those that were not used longest are dropped. Default 10000

	Changed func(up bool, why string) // told when Vault stops and starts answering; nil: nobody wants to know
	Observe func(result string)       // told what came of each fetch, see Results; nil: nobody wants to know

	transport http.RoundTripper // of tests
}

const (
	defaultMaxPaths = 10_000
	fetchesAtOnce   = 16
)

// Store reads secrets of one Vault. Its methods are safe for concurrent use.
type Store struct {
	config  Config
	client  *api.Client
	idle    bounded // the client's connections
	session *session
	gate    gate
	slots   chan struct{} // one for each fetch under way

	entries sync.Map // path → *entry
	count   atomic.Int64
	pruning sync.Mutex

	base context.Context
	stop context.CancelFunc
	work sync.WaitGroup
}

// Open begins to use a Vault. It does not wait for it: the first secret that is asked for does.
func Open(c Config) (*Store, error) {
	if c.MaxPaths <= 0 {
		c.MaxPaths = defaultMaxPaths
	}
	if c.Observe == nil {
		c.Observe = func(string) {}
	}
	if c.transport == nil {
		c.transport = newTransport(c)
	}
	idle := bounded{c.transport}
	client, err := newClient(c, idle)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	s := &Store{config: c, client: client, idle: idle, gate: gate{changed: c.Changed, probe: c.Timeout}, slots: make(chan struct{}, fetchesAtOnce)}
	s.base, s.stop = context.WithCancel(context.Background())
	s.session = &session{store: s}
	s.work.Go(s.keep)
	return s, nil
}

// Close ends what is under way. Nothing may be resolved from then on.
func (s *Store) Close() error {
	s.stop()
	s.work.Wait()
	s.idle.CloseIdleConnections()
	return nil
}

// Resolve reads the secret that a vault: reference names. It waits for Vault only when nothing usable is known, and no
// longer than Config.Timeout. Its errors name the reference and the reason.
func (s *Store) Resolve(ctx context.Context, ref secret.Ref) (secret.Value, error) {
	path, field := ref.Vault()
	now := time.Now()
	e := s.entry(path, now)
	r := e.latest.Load()
	if r == nil || !now.Before(r.expires) {
		r = s.await(ctx, e)
	}
	value, failure := r.field(field)
	if failure != nil {
		return value, fmt.Errorf("%s: %w", ref, failure)
	}
	return value, nil
}

// entry returns what is known of a path, and notes that somebody wants it.
func (s *Store) entry(path string, now time.Time) *entry {
	if known, ok := s.entries.Load(path); ok {
		e := known.(*entry)
		e.touch(now)
		return e
	}
	fresh := &entry{path: path}
	fresh.touch(now)
	e, known := s.entries.LoadOrStore(path, fresh)
	if !known && s.count.Add(1) > int64(s.config.MaxPaths) {
		s.prune()
	}
	return e.(*entry)
}
