package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// tokenServer is an authorization server: it gives tokens to one client, and knows which are good.
type tokenServer struct {
	url string // of the token endpoint

	mu       sync.Mutex
	secret   string // what the client must know
	lifetime time.Duration
	trouble  http.HandlerFunc // instead of an answer; nil: none
	fetches  int
	good     map[string]time.Time // until when
}

func newTokenServer(t *testing.T, secret string, lifetime time.Duration) *tokenServer {
	t.Helper()
	s := &tokenServer{secret: secret, lifetime: lifetime, good: map[string]time.Time{}}
	server := httptest.NewServer(s)
	s.url = server.URL + "/token"
	t.Cleanup(server.Close)
	return s
}

// ServeHTTP answers as a careless server does: a refusal repeats what was sent.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	id, key, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	key, _ = url.QueryUnescape(key)
	s.mu.Lock()
	s.fetches++
	trouble, n, known := s.trouble, s.fetches, id == "fsm" && key == s.secret
	token := fmt.Sprintf("canary-token-%d", n)
	if trouble == nil && known {
		s.good[token] = time.Now().Add(s.lifetime)
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case trouble != nil:
		trouble(w, r)
	case !known:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":%q}`, "no client knows "+key)
	default:
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, token, int(s.lifetime.Seconds()))
	}
}

// change is what an operator does to the server.
func (s *tokenServer) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
}

// count is the number of requests for tokens so far.
func (s *tokenServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// guarded answers calls with a good token as next does, and all others 401.
func (s *tokenServer) guarded(next Reply) Reply {
	return func(w http.ResponseWriter, r *http.Request, h Hit) {
		token, _ := strings.CutPrefix(h.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		good := time.Now().Before(s.good[token])
		s.mu.Unlock()
		if !good {
			Status(http.StatusUnauthorized, `WWW-Authenticate: Bearer error="invalid_token"`)(w, r, h)
			return
		}
		next(w, r, h)
	}
}

// oauth2 is the auth of an adapter that gets its tokens there; more are further keys of it.
func (s *tokenServer) oauth2(secret string, more ...string) string {
	return "auth: { oauth2: { " + strings.Join(append([]string{"token_url: " + s.url, "client_id: fsm", "client_secret: " + secret}, more...), ", ") + " } }"
}
