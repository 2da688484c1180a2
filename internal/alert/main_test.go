package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is what is open, as a test says.
type source struct {
	mu     sync.Mutex
	groups []Group
	reads  int
}

func (s *source) set(groups ...Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = groups
}

func (s *source) read() []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.groups
}

// receiver stands for both servers, without a network, so that time in a bubble is the test's.
type receiver struct {
	mu     sync.Mutex
	got    []delivery
	answer func(ctx context.Context, d delivery) (int, error) // nil: 200
}

// delivery is one POST, taken or not.
type delivery struct {
	at     time.Time
	path   string
	body   []byte
	status int
}

// RoundTrip implements http.RoundTripper.
func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	d := delivery{at: time.Now(), path: request.URL.Path, body: body, status: http.StatusOK}
	r.mu.Lock()
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		d.status, err = answer(request.Context(), d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, d)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: d.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: request}, nil
}

func (r *receiver) answers(f func(ctx context.Context, d delivery) (int, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// readings is how often the source was read.
func (s *source) readings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// take returns what came since it was last asked.
func (r *receiver) take() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// hooks reads deliveries to the webhook.
func hooks(t *testing.T, list []delivery) []hook {
	t.Helper()
	all := []hook{}
	for _, d := range list {
		var h hook
		must(t, json.Unmarshal(d.body, &h))
		all = append(all, h)
	}
	return all
}

// posted reads deliveries to the Alertmanager.
func posted(t *testing.T, list []delivery) []postableAlert {
	t.Helper()
	all := []postableAlert{}
	for _, d := range list {
		var batch []postableAlert
		must(t, json.Unmarshal(d.body, &batch))
		all = append(all, batch...)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	webhookURL      = "http://hooks.example/secret-token"
	alertmanagerURL = "http://alerts.example/prefix/"
)

// started is an alerter in a bubble, whose targets are a receiver; the test ends with it closed.
func started(t *testing.T, c Config) (*Alerter, *source, *receiver) {
	t.Helper()
	s, r := &source{}, &receiver{}
	c.Source, c.Client = s.read, &http.Client{Transport: r}
	a := New(c)
	time.Sleep(time.Second) // past the first look
	t.Cleanup(func() { must(t, a.Close(context.Background())) })
	return a, s, r
}

func lettersOf(adapter string, open int) Group {
	return Group{AdapterID: adapter + "-id", Adapter: adapter, ErrorType: "timeout", Open: open}
}
