package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Answer is a response as the application sees it.
type Answer struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    string
	Took    time.Duration
}

// Problem is an answer made by the sidecar (RFC 9457).
type Problem struct {
	Type          string `json:"type"`
	Title         string `json:"title"`
	Status        int    `json:"status"`
	Detail        string `json:"detail"`
	AdapterID     string `json:"adapter_id"`
	CorrelationID string `json:"correlation_id"`
	Attempts      int    `json:"attempts"`
	Retryable     bool   `json:"retryable"`
	LetterID      string `json:"dead_letter_id"`
}

const problemPrefix = "urn:integration-sidecar:problem:"

// newClient is an application: it follows no redirect, decompresses nothing and reuses connections.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       60 * time.Second,
	}
}

// URL is where the application finds target, which starts with a slash and the adapter's name.
func (s *Sidecar) URL(target string) string { return "http://" + s.Proxy + target }

// Try makes one call. target is a path at the proxy listener, or a whole URL; each field is "Name: value". A request
// body cannot be sent twice, so the client never repeats a POST by itself.
func (s *Sidecar) Try(ctx context.Context, method, target, body string, fields ...string) (Answer, error) {
	if strings.HasPrefix(target, "/") {
		target = s.URL(target)
	}
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return Answer{}, err
	}
	request.GetBody = nil
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		request.Header.Add(name, value)
		if name == "Host" {
			request.Host = value
		}
	}
	start := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	content2, err := io.ReadAll(response.Body)
	return Answer{Status: response.StatusCode, Header: response.Header, Trailer: response.Trailer, Body: string(content2),
		Took: time.Since(start)}, err
}

// Do is Try that fails the test when no whole answer came.
func (s *Sidecar) Do(t testing.TB, method, target, body string, fields ...string) Answer {
	t.Helper()
	a, err := s.Try(t.Context(), method, target, body, fields...)
	if err != nil {
		t.Fatalf("%s %s: no whole answer: %v", method, target, err)
	}
	return a
}

// Get is Do without a body.
func (s *Sidecar) Get(t testing.TB, target string, fields ...string) Answer {
	t.Helper()
	return s.Do(t, http.MethodGet, target, "", fields...)
}

// Post is Do with a JSON body.
func (s *Sidecar) Post(t testing.TB, target, body string, fields ...string) Answer {
	t.Helper()
	return s.Do(t, http.MethodPost, target, body, append([]string{"Content-Type: application/json"}, fields...)...)
}

// LetterID is the letter the application was told about, "" when there was none.
func (a Answer) LetterID() string { return a.Header.Get("X-Dead-Letter-ID") }

// Kind is the kind of problem, "" when the answer is not the sidecar's own.
func (a Answer) Kind() string {
	var p Problem
	if a.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.Body), &p) != nil {
		return ""
	}
	return strings.TrimPrefix(p.Type, problemPrefix)
}

// WantStatus fails the test when the status is another.
func (a Answer) WantStatus(t testing.TB, status int) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d; fields %v; body %.500q", a.Status, status, a.Header, a.Body)
	}
}

// WantProblem fails the test unless the answer is the sidecar's own, of this status and kind, and complete.
func (a Answer) WantProblem(t testing.TB, status int, kind string) Problem {
	t.Helper()
	a.WantStatus(t, status)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q of an answer the sidecar made, want application/problem+json; body %.500q", got, a.Body)
	}
	var p Problem
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("the problem is no JSON: %v: %.500q", err, a.Body)
	}
	if p.Type != problemPrefix+kind || p.Status != status || p.Title == "" {
		t.Fatalf("problem type %q status %d title %q, want %s%s, %d and a title", p.Type, p.Status, p.Title, problemPrefix, kind, status)
	}
	if a.Header.Get("Proxy-Status") == "" {
		t.Errorf("no Proxy-Status on the problem %s (RFC 9209)", kind)
	}
	return p
}
