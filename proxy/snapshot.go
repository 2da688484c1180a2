package proxy

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/policy"
)

// Snapshot is everything the configuration says, compiled. It is immutable and swapped whole.
type Snapshot struct {
	document *config.Document
	ordered  []*adapter
	byName   map[string]*adapter
	byHost   map[string]*adapter // Host field, in lower case
	byListen map[string]*adapter // by listenKey
}

type breakerChanged = func(id *policy.Identity, change policy.BreakerChange)

// sharedBreakers are the breakers whose state replicas share, by adapter name.
func (s *Snapshot) sharedBreakers() map[string]*policy.Guard {
	guards := map[string]*policy.Guard{}
	for _, a := range s.ordered {
		if b := a.settings.Host.Breaker; b != nil && b.Share == "redis" {
			guards[a.identity.Name] = a.host.Breaker
		}
	}
	return guards
}

func newSnapshot(doc *config.Document) *Snapshot {
	return &Snapshot{document: doc, byName: map[string]*adapter{}, byHost: map[string]*adapter{}, byListen: map[string]*adapter{}}
}

// compile builds a snapshot, taking over the state of hosts from earlier (which may be nil). It touches nothing live.
func compile(doc *config.Document, earlier *Snapshot, deps policy.Deps, changed breakerChanged) (*Snapshot, error) {
	s := newSnapshot(doc)
	for _, c := range doc.Adapters {
		a, err := compileAdapter(c, earlier, deps, changed)
		if err != nil {
			s.abandon(earlier)
			return nil, fmt.Errorf("adapter %s: %w", c.Name, err)
		}
		s.add(a)
	}
	return s, nil
}

// find finds the adapter of a call: by the adapter's own address it came to, else by its first path segment, else by
// its Host field. It returns the prefix that was taken off the target, and the rest of the target. An address that the
// configuration no longer names, on which a connection is still open, leads nowhere.
func (s *Snapshot) find(came, requestTarget, host string) (a *adapter, prefix, target string, p *problem.Problem) {
	target, ok := originForm(requestTarget)
	if !ok {
		return nil, "", "", problem.New(problem.NoAdapter, "The request target names no path.")
	}
	if a = s.byListen[came]; a == nil && came == listenKey("", s.document.Listen.Proxy) {
		name, rest := cutAdapter(target)
		if a = s.byName[name]; a != nil {
			prefix, target = "/"+name, rest
		} else if a = s.byHost[strings.ToLower(host)]; a != nil {
			target = belowBase(target, a.identity.Base)
		}
	}
	if a == nil {
		return nil, "", target, problem.New(problem.NoAdapter, "Neither the first path segment nor the Host field names a configured adapter.")
	}
	if path, _, _ := strings.Cut(target, "?"); climbs(path) {
		return nil, "", target, problem.New(problem.InvalidRequest, "The path leads above the adapter's root.")
	}
	return a, prefix, target, nil
}

// belowBase takes an upstream's base path off the target of a call that was made with the external system's own name,
// and so with its own path. A target outside the base is taken as one below it.
func belowBase(target, base string) string {
	rest, ok := strings.CutPrefix(target, base)
	switch {
	case !ok || rest != "" && rest[0] != '/' && rest[0] != '?':
		return target
	case rest == "" || rest[0] == '?':
		return "/" + rest
	}
	return rest
}

func (s *Snapshot) add(a *adapter) {
	s.ordered = append(s.ordered, a)
	s.byName[a.identity.Name] = a
	if a.listen != "" {
		s.byListen[listenKey(a.identity.Name, a.listen)] = a
	}
	for _, host := range hostFields(a.upstream) {
		if s.byHost[host] == nil {
			s.byHost[host] = a
		}
	}
}

// hostFields are the Host values that name an upstream: with its port, and without when it is the scheme's own.
func hostFields(u *url.URL) []string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" {
		port = standard
	}
	names := []string{net.JoinHostPort(host, port)}
	if port == standard {
		names = append(names, strings.TrimSuffix(strings.ToLower(u.Host), ":"+standard))
	}
	return names
}

// newAdapter is an adapter that routes and does not call yet.
func newAdapter(c *config.Adapter) *adapter {
	a := &adapter{settings: c.Settings, listen: c.Listen, upstream: c.Upstream,
		identity: &policy.Identity{Name: c.Name, ID: c.ID, Version: c.Version,
			Origin: policy.Origin(c.Upstream), Base: strings.TrimRight(c.Upstream.EscapedPath(), "/")}}
	for _, o := range c.Operations {
		a.operations = append(a.operations, operation{name: o.Name, method: o.Method, pattern: splitPattern(o.Path), settings: o.Settings})
	}
	return a
}

func compileAdapter(c *config.Adapter, earlier *Snapshot, deps policy.Deps, changed breakerChanged) (*adapter, error) {
	a := newAdapter(c)
	var before *policy.Host
	if earlier != nil && earlier.byName[c.Name] != nil {
		before = earlier.byName[c.Name].host
	}
	var err error
	config := policy.HostConfig{Identity: a.identity, Upstream: c.Upstream, Settings: c.Settings, Shared: deps.Shared, Recent: deps.Recent, BreakerChanged: changed,
		TLSKept: func(id *policy.Identity, why error) { logKeptTLS(deps.Log, id, why) }}
	if a.host, err = policy.NewHost(config, before); err != nil {
		return nil, err
	}
	if a.chain, err = policy.Compile(c.Settings, a.host, deps); err != nil {
		return nil, err
	}
	if a.prober, err = policy.NewProber(c.Settings, a.host, deps.Secrets); err != nil {
		return nil, err
	}
	for i := range a.operations {
		o := &a.operations[i]
		if o.chain, err = policy.Compile(o.settings, a.host, deps); err != nil {
			return nil, fmt.Errorf("operation %s: %w", o.name, err)
		}
	}
	return a, nil
}

func logKeptTLS(log *slog.Logger, id *policy.Identity, why error) {
	if why == nil {
		log.Info("changed TLS files are used again", "adapter_id", id.ID)
		return
	}
	log.Warn("changed TLS files cannot be used; the earlier ones stay in use", "adapter_id", id.ID, "error", why.Error())
}

// abandon gives back what a snapshot that is not going to be used has built.
func (s *Snapshot) abandon(earlier *Snapshot) {
	for _, a := range s.ordered {
		if earlier == nil || earlier.byName[a.identity.Name] == nil {
			a.host.Retire(nil)
		} else {
			a.host.Retire(earlier.byName[a.identity.Name].host)
		}
	}
}

// retire gives back what the successor did not take over.
func (s *Snapshot) retire(successor *Snapshot) {
	for _, a := range s.ordered {
		if next := successor.byName[a.identity.Name]; next != nil {
			a.host.Retire(next.host)
		} else {
			a.host.Retire(nil)
		}
	}
}
