package proxy

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/fsm-integrations/sidecar/internal/config"
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
// call: a URL of the sidecar, a path below it, or a URL of the external system, which the Host field would carry.
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
	a, prefix, target, p := s.find(came, u.RequestURI(), u.Host)
	if p != nil {
		return Found{}, fmt.Errorf("no adapter takes %s: %s", rawURL, p.Detail)
	}
	path, _, _ := strings.Cut(target, "?")
	_, settings, operation := a.route(method, path)
	found := Found{Adapter: byName[a.identity.Name], Operation: operation, Settings: settings,
		Upstream: a.identity.Origin + a.identity.Base + target, Rule: "by the Host field " + u.Host}
	switch {
	case own != "":
		found.Rule = "by its own address " + own
	case prefix != "":
		found.Rule = "by the path prefix " + prefix
	}
	return found, nil
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
