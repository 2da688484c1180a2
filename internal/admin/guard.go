package admin

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// CLIHeader marks a request of the command line. A browser cannot set it across sites without asking first.
const CLIHeader = "X-Sidecar-CLI"

// guard refuses what a page of another site could make a browser send.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if p := s.suspect(r); p != nil {
			s.note(r, p)
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// note logs a refusal, and as an audit line when something would have been changed.
func (s *server) note(r *http.Request, p *Problem) {
	if reads(r.Method) {
		s.Log.Warn("admin request refused", "method", r.Method, "path", r.URL.Path, "via", via(r), "reason", p.Detail)
		return
	}
	s.audit(r, unknownName, event{action: "request"}, p)
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

func (s *server) suspect(r *http.Request) *Problem {
	// Who has the token is nobody's puppet: a page that was rebound to this address does not know it. So the sidecar may
	// be called by any name then.
	known := s.knownHost(r.Host)
	if !known {
		known, _ = s.authorised(r) // a token that cannot be read is told by the route
	}
	known = known || s.Token != nil && harmless(r) // or nobody could open the page that asks for the token
	switch {
	case !known:
		return refuse(http.StatusForbidden, "the Host of this request is neither a loopback address nor a configured name")
	case !sameOrigin(r):
		return refuse(http.StatusForbidden, "the Origin of this request is another site")
	case reads(r.Method):
		return nil
	case r.Header.Get(CLIHeader) == "" && !isJSON(r.Header.Get("Content-Type")):
		return refuse(http.StatusUnsupportedMediaType, "what changes something needs Content-Type: application/json")
	}
	return nil
}

// knownHost accepts names only a client of this very listener would use. A rebinding attack arrives under the
// attacker's own name.
func (s *server) knownHost(hostport string) bool {
	host, ok := hostOf(hostport)
	if !ok {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback() || s.named(host)
	}
	host = strings.TrimSuffix(host, ".")
	return strings.EqualFold(host, "localhost") || s.named(host)
}

func (s *server) named(host string) bool {
	for _, name := range s.Hosts {
		if host != "" && strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

// hostOf is the host of a Host field: a name or an IPv4 address, or an IPv6 address in brackets, each perhaps with a
// port. What is written in any other way is nobody's.
func hostOf(hostport string) (host string, ok bool) {
	port := ""
	if rest, bracketed := strings.CutPrefix(hostport, "["); bracketed {
		if host, port, ok = strings.Cut(rest, "]"); !ok || !strings.Contains(host, ":") {
			return "", false
		}
	} else if at := strings.IndexByte(hostport, ':'); at >= 0 {
		host, port = hostport[:at], hostport[at:]
	} else {
		host = hostport
	}
	return host, port == "" || port[0] == ':' && strings.Trim(port[1:], "0123456789") == ""
}

// sameOrigin accepts a request without Origin (not a browser's cross-site call) and one from a page of this listener.
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return len(origins) == 1 && err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, r.Host)
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}
