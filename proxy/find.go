package proxy

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/policy"
)

// Found is where a call would go.
type Found struct {
	Adapter   *config.Adapter
	Operation string // "" when none matches
	Settings  *policy.Settings
	Upstream  string // the URL that would be called
	Rule      string // how the adapter was found
}

// Find says where a call of the application would go, without serving anything. rawURL is what the application would
// call: a URL of the sidecar, a path below it, or the URL of the external system that is meant, base path and all.
func Find(doc *config.Document, method, rawURL string) (Found, error) {
	u, err := url.Parse(rawURL)
	if err != nil || !strings.HasPrefix(u.EscapedPath(), "/") && u.EscapedPath() != "" || u.Opaque != "" {
		return Found{}, fmt.Errorf("%s is neither a URL nor a path", rawURL)
	}
	s, byName := newSnapshot(doc), map[string]*config.Adapter{}
	for _, c := range doc.Adapters {
		s.add(newAdapter(c))
		byName[c.Name] = c
	}
	own := s.ownAddress(u)
	came := own
	if own == "" {
		came = listenKey("", doc.Listen.Proxy)
	}
	asked, meant := u.RequestURI(), s.upstreamOf(u)
	if own == "" && len(meant) > 0 {
		if asked = throughPrefix(meant, asked); asked == "" {
			return Found{}, fmt.Errorf("%s is not under %s", rawURL, bases(meant))
		}
	}
	a, prefix, target, p := s.find(came, asked, u.Host)
	if p != nil && p.Kind == problem.NoAdapter {
		return Found{}, fmt.Errorf("no adapter takes %s, by path or by Host; there are %s", rawURL, strings.Join(slices.Sorted(maps.Keys(byName)), ", "))
	}
	if p != nil {
		return Found{}, fmt.Errorf("no adapter takes %s: %s", rawURL, p.Detail)
	}
	path, _, _ := strings.Cut(target, "?")
	_, settings, operation := a.route(method, path)
	found := Found{Adapter: byName[a.identity.Name], Operation: operation, Settings: settings,
		Upstream: a.identity.Origin + a.identity.Base + target, Rule: "by the path prefix " + prefix}
	switch {
	case own != "":
		found.Rule = "by its own address " + own
	case len(meant) > 0:
		found.Rule = "by its upstream; through the sidecar the call is " + asked
	}
	return found, nil
}

// upstreamOf are the adapters whose external system a URL names, the longest base path first: a shorter one would take
// what belongs to a longer one.
func (s *Snapshot) upstreamOf(u *url.URL) []*adapter {
	var list []*adapter
	for _, a := range s.ordered {
		if slices.Contains(hostFields(a.upstream), strings.ToLower(u.Host)) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b *adapter) int { return len(b.identity.Base) - len(a.identity.Base) })
	return list
}

// throughPrefix is the target by which the sidecar reaches a target of an external system: the adapter's base path,
// which the sidecar adds itself, gives way to its name. "" when no base path is above the target.
func throughPrefix(adapters []*adapter, target string) string {
	path, _, _ := strings.Cut(target, "?")
	for _, a := range adapters {
		if rest, below := strings.CutPrefix(path, a.identity.Base); below && (rest == "" || rest[0] == '/') {
			return "/" + a.identity.Name + target[len(a.identity.Base):]
		}
	}
	return ""
}

func bases(adapters []*adapter) string {
	names := make([]string, len(adapters))
	for i, a := range adapters {
		names[i] = a.identity.Origin + a.identity.Base + ", the upstream of " + a.identity.Name
	}
	return strings.Join(names, ", nor under ")
}

// ownAddress is the adapter address that a URL of the sidecar leads to; "" when it is none.
func (s *Snapshot) ownAddress(u *url.URL) string {
	for _, a := range s.ordered {
		if a.listen == "" || u.Port() == "" {
			continue
		}
		host, port, err := net.SplitHostPort(a.listen)
		if err == nil && port == u.Port() && (u.Hostname() == host || loopback(u.Hostname()) && (host == "" || loopback(host))) {
			return listenKey(a.identity.Name, a.listen)
		}
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}
