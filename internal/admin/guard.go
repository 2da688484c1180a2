package admin

import (
	"net"
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
			s.Log.Warn("admin request refused", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "reason", p.Detail)
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) suspect(r *http.Request) *Problem {
	switch {
	case !s.knownHost(r.Host):
		return refuse(http.StatusForbidden, "the Host of this request is neither a loopback address nor a configured name")
	case !sameOrigin(r):
		return refuse(http.StatusForbidden, "the Origin of this request is another site")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return nil
	case r.Header.Get(CLIHeader) == "" && !isJSON(r.Header.Get("Content-Type")):
		return refuse(http.StatusUnsupportedMediaType, "what changes something needs Content-Type: application/json")
	}
	return nil
}

// knownHost accepts names only a client of this very listener would use. A rebinding attack arrives under the
// attacker's own name.
func (s *server) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	for _, name := range s.Hosts {
		if host != "" && strings.EqualFold(host, name) {
			return true
		}
	}
	return false
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
