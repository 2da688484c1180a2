package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/fsm-integrations/sidecar/internal/simulator"
)

// application is the visitor's application as the demo plays it: an HTTP client that knows the sidecar's address and
// the external systems' paths, and nothing of keys, signatures, credentials or retries.
type application struct {
	base string
	http *http.Client

	mu    sync.Mutex
	calls map[string]int // through the sidecar, by system
}

func newApplication(base string) *application {
	return &application{base: base, calls: map[string]int{}, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, // no proxy of the environment: everything here is loopback
	}}
}

func (a *application) close() { a.http.CloseIdleConnections() }

// answer is what the application got; status 0 is nothing.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

// write sends the sample write of a system under a business id, through the sidecar. fields are names and values.
func (a *application) write(ctx context.Context, system, id string, fields ...string) answer {
	method, target, body := simulator.Sample(system, id)
	return a.through(ctx, system, method, target, body, fields)
}

// read asks a system for a resource, through the sidecar.
func (a *application) read(ctx context.Context, system, target string) answer {
	return a.through(ctx, system, http.MethodGet, target, "", nil)
}

func (a *application) through(ctx context.Context, system, method, target, body string, fields []string) answer {
	a.mu.Lock()
	a.calls[system]++
	a.mu.Unlock()
	return a.call(ctx, method, a.base+"/"+system+target, body, fields)
}

// made is how many calls went to a system through the sidecar.
func (a *application) made(system string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[system]
}

// straight sends the sample write to the external system itself, to show what the sidecar is for.
func (a *application) straight(ctx context.Context, s *simulator.System, id string, fields ...string) answer {
	method, target, body := simulator.Sample(s.Name, id)
	return a.call(ctx, method, s.URL+target, body, fields)
}

func (a *application) call(ctx context.Context, method, url, body string, fields []string) answer {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{body: err.Error()}
	}
	request.GetBody = nil // or net/http would send again by itself what has a key, and the story would be false
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for ; len(fields) > 1; fields = fields[2:] {
		request.Header.Set(fields[0], fields[1])
	}
	began := time.Now()
	response, err := a.http.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{response.StatusCode, response.Header, string(content), time.Since(began)}
}

// problem is the kind of an answer the sidecar made, such as circuit-open; "" of an answer of the external system.
func (a answer) problem() string {
	kind, ours := strings.CutPrefix(a.member("type"), "urn:integration-sidecar:problem:")
	if !ours {
		return ""
	}
	return kind
}

func (a answer) letter() string { return a.header.Get("X-Dead-Letter-ID") }
func (a answer) replayed() bool { return a.header.Get("Idempotency-Replayed") == "true" }
func (a answer) sameAs(b answer) bool {
	return a.status == b.status && a.body == b.body && a.header.Get("Location") == b.header.Get("Location")
}

// member reads a text from a JSON body; "" when there is none.
func (a answer) member(name string) string {
	var object map[string]any
	if json.Unmarshal([]byte(a.body), &object) != nil {
		return ""
	}
	text, _ := object[name].(string)
	return text
}

// atOnce makes n calls at the same time and returns their answers in the order of their numbers.
func atOnce(n int, call func(i int) answer) []answer {
	answers := make([]answer, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { answers[i] = call(i) })
	}
	running.Wait()
	return answers
}

func count[T any](list []T, is func(T) bool) int {
	n := 0
	for _, v := range list {
		if is(v) {
			n++
		}
	}
	return n
}

// status is a predicate of answers.
func status(code int) func(answer) bool { return func(a answer) bool { return a.status == code } }
