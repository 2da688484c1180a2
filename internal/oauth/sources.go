package oauth

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// maxSources bounds the tokens kept: one for each tenant whose secret is its own. Beyond it, the one not used for
// longest is forgotten.
const maxSources = 4096

// Sources are the tokens of one external system.
type Sources struct {
	mu     sync.Mutex
	byID   map[id]*list.Element
	recent *list.List // of *entry, the last used first

	counts map[Result]*atomic.Uint64
}

// id tells one client at one endpoint from every other, without its secret.
type id struct {
	grant, client string
	secret        secret.Ref
}

type entry struct {
	id     id
	source *Source
}

// NewSources returns an empty collection.
func NewSources() *Sources {
	s := &Sources{byID: map[id]*list.Element{}, recent: list.New(), counts: map[Result]*atomic.Uint64{}}
	for _, r := range Results() {
		s.counts[r] = new(atomic.Uint64)
	}
	return s
}

// Of returns the source of one client's tokens. What asks for the same tokens gets the same source.
func (s *Sources) Of(c *Client, clientID string, ref secret.Ref, secrets *secret.Resolver) *Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := id{c.grant, clientID, ref}
	if e, ok := s.byID[key]; ok {
		s.recent.MoveToFront(e)
		return e.Value.(*entry).source
	}
	source := &Source{timeout: c.config.Timeout, count: func(r Result) { s.counts[r].Add(1) },
		read:  func(ctx context.Context) (secret.Value, error) { return secrets.Resolve(ctx, ref) },
		fetch: func(ctx context.Context, key secret.Value) (*Token, *Failure) { return c.fetch(ctx, clientID, key) }}
	s.byID[key] = s.recent.PushFront(&entry{key, source})
	if len(s.byID) > maxSources {
		oldest := s.recent.Remove(s.recent.Back()).(*entry)
		delete(s.byID, oldest.id)
	}
	return source
}

// Fetches counts what came of fetches since the start.
func (s *Sources) Fetches() map[Result]uint64 {
	n := map[Result]uint64{}
	for r, c := range s.counts {
		n[r] = c.Load()
	}
	return n
}
