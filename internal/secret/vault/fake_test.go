package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

// fake is as much of a Vault as the store asks for, without a network, so that it runs in a bubble.
type fake struct {
	mu       sync.Mutex
	secrets  map[string]map[string]any // by path; nil fields: the newest version was deleted
	denied   map[string]bool           // by path
	tokens   map[string]time.Time      // valid until; zero: for ever
	lease    time.Duration             // of new tokens
	longest  time.Duration             // that a token can be renewed to; 0: no bound
	births   map[string]time.Time
	trouble  string        // "": none; down, sealed, hang, broken, noise
	slow     time.Duration // every answer takes so long
	noLogin  bool
	allowed  map[string]string // what a login must hold
	counts   map[string]int    // requests by what they ask for
	inFlight int
	crowd    int // most requests at once
	version  int
}

func newFake() *fake {
	return &fake{secrets: map[string]map[string]any{"a": {"key": "canary-1"}}, denied: map[string]bool{}, tokens: map[string]time.Time{},
		births: map[string]time.Time{}, lease: time.Hour, allowed: map[string]string{"role": "sidecar", "jwt": "canary-jwt"}, counts: map[string]int{}}
}

// set changes the fake while it runs.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// count is the number of requests of a kind so far: login, read, lookup, renew.
func (f *fake) count(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[kind]
}

// RoundTrip implements http.RoundTripper.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.counts[kindOf(r)]++
	f.inFlight++
	f.crowd = max(f.crowd, f.inFlight)
	trouble, slow := f.trouble, f.slow
	f.mu.Unlock()
	defer f.set(func() { f.inFlight-- })
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if ttl := r.Header.Get("X-Vault-Wrap-TTL"); ttl != "" {
		return nil, errors.New("asked to wrap its answer for " + ttl)
	}
	switch trouble {
	case "hang":
		<-r.Context().Done()
		return nil, r.Context().Err()
	case "down":
		return nil, errors.New("dial tcp: connection refused")
	}
	w := httptest.NewRecorder()
	f.answer(w, r, trouble)
	response := w.Result()
	response.Request = r
	return response, nil
}

func kindOf(r *http.Request) string {
	switch p := r.URL.Path; {
	case strings.HasSuffix(p, "/login"):
		return "login"
	case strings.HasSuffix(p, "/lookup-self"):
		return "lookup"
	case strings.HasSuffix(p, "/renew-self"):
		return "renew"
	case r.Method == http.MethodPut:
		return "write"
	}
	return "read"
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request, trouble string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail := func(status int, text string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{text}})
	}
	kind, token := kindOf(r), r.Header.Get("X-Vault-Token")
	until, known := f.tokens[token]
	switch {
	case trouble == "sealed":
		fail(503, "Vault is sealed")
	case trouble == "broken":
		fail(500, "internal error canary-1")
	case trouble == "noise":
		_, _ = io.WriteString(w, "<html>canary-1</html>")
	case kind == "login":
		f.login(w, r, fail)
	case !known || !until.IsZero() && !time.Now().Before(until):
		fail(403, "permission denied")
	case kind == "lookup":
		reply(w, map[string]any{"data": map[string]any{"ttl": f.left(until), "renewable": true}})
	case kind == "renew":
		born := f.births[token]
		end := time.Now().Add(f.lease)
		if f.longest > 0 && end.After(born.Add(f.longest)) {
			end = born.Add(f.longest)
		}
		f.tokens[token] = end
		reply(w, map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": f.left(end), "renewable": true}})
	default:
		f.data(w, r, fail)
	}
}

func (f *fake) left(until time.Time) int {
	if until.IsZero() {
		return 0
	}
	return int(time.Until(until).Round(time.Second) / time.Second)
}

func (f *fake) login(w http.ResponseWriter, r *http.Request, fail func(int, string)) {
	var form map[string]string
	_ = json.NewDecoder(r.Body).Decode(&form)
	if f.noLogin || !maps.Equal(form, f.allowed) {
		fail(403, fmt.Sprint("no such role or service account; sent was ", form["jwt"]))
		return
	}
	token := fmt.Sprint("canary-token-", len(f.births))
	f.births[token], f.tokens[token] = time.Now(), time.Now().Add(f.lease)
	reply(w, map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": int(f.lease / time.Second), "renewable": true}})
}

func (f *fake) data(w http.ResponseWriter, r *http.Request, fail func(int, string)) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/secret/data/")
	fields, exists := f.secrets[path]
	switch {
	case !ok || f.denied[path]:
		fail(403, "permission denied")
	case r.Method == http.MethodPut:
		f.write(w, r, path, fail)
	case !exists:
		fail(404, "")
	case fields == nil:
		w.WriteHeader(404)
		reply(w, map[string]any{"data": map[string]any{"data": nil, "metadata": map[string]any{"version": 2, "deletion_time": "2026-01-01T00:00:00Z"}}})
	default:
		reply(w, map[string]any{"data": map[string]any{"data": fields, "metadata": map[string]any{"version": max(f.version, 1)}}})
	}
}

func (f *fake) write(w http.ResponseWriter, r *http.Request, path string, fail func(int, string)) {
	var form struct {
		Data    map[string]any `json:"data"`
		Options struct {
			CAS *int `json:"cas"`
		} `json:"options"`
	}
	_ = json.NewDecoder(r.Body).Decode(&form)
	current := 0
	if _, exists := f.secrets[path]; exists {
		current = max(f.version, 1)
	}
	if form.Options.CAS == nil || *form.Options.CAS != current {
		fail(400, "check-and-set parameter did not match the current version")
		return
	}
	f.secrets[path], f.version = form.Data, current+1
	reply(w, map[string]any{"data": map[string]any{"version": f.version, "created_time": "2026-01-01T00:00:00Z"}})
}

func reply(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// rig is a store before a fake.
type rig struct {
	*Store
	fake    *fake
	t       *testing.T
	mu      sync.Mutex
	changes []string
	results map[string]int
}

func open(t *testing.T, f *fake, change func(*Config)) *rig {
	t.Helper()
	r := &rig{fake: f, t: t, results: map[string]int{}}
	c := Config{Address: "https://vault.test:8200", Mount: "secret", TTL: 5 * time.Minute, RefreshAt: 0.75, StaleFor: time.Hour, Timeout: 2 * time.Second,
		Login:     Login{Method: Kubernetes, Role: "sidecar", JWT: always("canary-jwt")},
		transport: f,
		Changed: func(up bool, why string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, fmt.Sprint(up, " ", why))
		},
		Observe: func(result string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.results[result]++
		}}
	if change != nil {
		change(&c)
	}
	store, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Store = store
	t.Cleanup(func() { _ = store.Close() })
	return r
}

func always(text string) func() (secret.Value, error) {
	return func() (secret.Value, error) { return secret.NewValue([]byte(text)), nil }
}

// get resolves vault:<path>#key; what cannot be resolved is its error.
func (r *rig) get(path string) string {
	r.t.Helper()
	value, err := r.Resolve(r.t.Context(), secret.Ref("vault:"+path+"#key"))
	if err != nil {
		if strings.Contains(err.Error(), "canary") {
			r.t.Errorf("a secret is in the error %q", err)
		}
		return "error: " + err.Error()
	}
	return string(value.Reveal())
}

func (r *rig) want(path, want string) {
	r.t.Helper()
	if got := r.get(path); got != want && !(strings.HasPrefix(want, "error: ") && strings.Contains(got, strings.TrimPrefix(want, "error: ")) && strings.HasPrefix(got, "error: ")) {
		r.t.Errorf("%s is %q, want %q", path, got, want)
	}
}

// loop uses path every step for a time and returns what was got, each once, in order.
func (r *rig) loop(path string, d, step time.Duration) (got []string) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(step) {
		if v := r.get(path); len(got) == 0 || got[len(got)-1] != v {
			got = append(got, v)
		}
	}
	return got
}
