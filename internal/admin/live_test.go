package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/config"
	"github.com/fsm-integrations/sidecar/internal/recent"
)

func TestExchangesAndSeriesAreTold(t *testing.T) {
	w := newWorld()
	c := w.config()
	if got := ask(New(c), "GET", "/api/v1/exchanges", "").Body.String(); got != `{"exchanges":[]}`+"\n" {
		t.Errorf("without a log: %s", got)
	}
	c.Recent = recent.NewLog()
	c.Recent.Note(&recent.Exchange{Method: "POST", Path: "/orders", Adapter: "sales-system", CorrelationID: "corr-1", Attempts: []recent.Attempt{{Status: 503}}, AttemptsTotal: 1})
	c.Recent.Adapter("sales-system").Count(time.Now(), time.Second, false)
	h := New(c)
	var x Exchanges
	if err := json.Unmarshal(ask(h, "GET", "/api/v1/exchanges", "").Body.Bytes(), &x); err != nil || len(x.Exchanges) != 1 || x.Exchanges[0].CorrelationID != "corr-1" || len(x.Exchanges[0].Attempts) != 1 {
		t.Errorf("%+v %v", x, err)
	}
	var s SeriesPage
	if err := json.Unmarshal(ask(h, "GET", "/api/v1/series", "").Body.Bytes(), &s); err != nil || s.StepSeconds != 10 || s.Adapters["sales-system"].Failures != 1 {
		t.Errorf("%+v %v", s, err)
	}
}

// stream is the writer of a page that is told of changes.
type stream struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Body.Write(p)
}

// FlushError implements what http.ResponseController asks for.
func (s *stream) FlushError() error { return nil }

func (s *stream) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Body.String()
}

// listen opens a stream of events. The function ends it and waits for its end.
func listen(h http.Handler) (*stream, context.CancelFunc, chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	r.Host = "127.0.0.1:9901"
	s, ended := &stream{ResponseRecorder: httptest.NewRecorder()}, make(chan struct{})
	go func() {
		defer close(ended)
		h.ServeHTTP(s, r)
	}()
	return s, cancel, ended
}

func TestAPageIsToldWhenSomethingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Recent = recent.NewLog()
		s, cancel, ended := listen(New(c))
		events := func() int { return strings.Count(s.text(), "event: status\n") }
		time.Sleep(5500 * time.Millisecond)
		if events() != 1 {
			t.Fatalf("%d events although nothing changed:\n%s", events(), s.text())
		}
		c.Recent.Note(&recent.Exchange{})
		time.Sleep(time.Second)
		if events() != 2 || !strings.Contains(s.text(), `"last_exchange":1`) {
			t.Errorf("an exchange ended: %d events", events())
		}
		time.Sleep(20 * time.Second)
		if events() != 2 || strings.Count(s.text(), ": still here\n\n") != 1 {
			t.Errorf("%d events, heartbeats in %q", events(), s.text())
		}
		cancel()
		<-ended
		data, _, _ := strings.Cut(s.text()[strings.Index(s.text(), "data: ")+6:], "\n")
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Status.Version != "1.2.3" || e.Now.IsZero() || s.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%+v %v %v", e, err, s.Header())
		}
	})
}

func TestTheStreamEndsWhenTheSidecarDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, cancel, ended := listen(New(w.config()))
		defer cancel()
		time.Sleep(1500 * time.Millisecond)
		w.draining.Store(true)
		<-ended
		if !strings.Contains(s.text(), `"draining":true`) || !strings.HasSuffix(s.text(), "event: draining\ndata: {}\n\n") {
			t.Error(s.text())
		}
	})
}

func TestOnlySoManyPagesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(newWorld().config())
		var stops []func()
		for range maxViewers {
			_, cancel, ended := listen(h)
			stops = append(stops, func() { cancel(); <-ended })
		}
		synctest.Wait()
		if p := problemOf(t, ask(h, "GET", "/api/v1/events", "")); p.Status != http.StatusServiceUnavailable {
			t.Errorf("%+v", p)
		}
		if w := ask(h, "HEAD", "/api/v1/events", ""); w.Code != 200 {
			t.Errorf("HEAD: %d", w.Code)
		}
		stops[0]()
		s, cancel, ended := listen(h)
		synctest.Wait()
		if !strings.Contains(s.text(), "event: status") {
			t.Error("a place that became free is not given away")
		}
		cancel()
		<-ended
		for _, stop := range stops[1:] {
			stop()
		}
	})
}

func TestTheConfigurationInForceNamesItsLines(t *testing.T) {
	doc, err := config.Parse("sidecar.yaml", []byte(`dlq: { dir: /tmp/x }
adapters:
  sales:
    upstream: https://sales.example.com/base
    auth: { bearer: env:SALES_TOKEN }
    retry: { max_retries: 7 }
    operations:
      - match: { method: POST, path: /orders }
        retry: { max_retries: 1 }
`))
	if err != nil {
		t.Fatal(err)
	}
	c := newWorld().config()
	if p := problemOf(t, ask(New(c), "GET", "/api/v1/config", "")); p.Status != http.StatusNotImplemented {
		t.Errorf("%+v", p)
	}
	c.Document = func() *config.Document { return doc }
	w := ask(New(c), "GET", "/api/v1/config", "")
	var e Effective
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e.Adapters) != 1 || len(e.Adapters[0].Operations) != 1 {
		t.Fatalf("%v %s", err, w.Body)
	}
	find := func(list []config.Setting, path string) string {
		for _, s := range list {
			if s.Path == path {
				return s.Value + " " + s.Origin
			}
		}
		return "nothing"
	}
	a := e.Adapters[0]
	for got, want := range map[string]string{
		find(a.Settings, "retry.max_retries"):               "7 sidecar.yaml:6",
		find(a.Operations[0].Settings, "retry.max_retries"): "1 sidecar.yaml:9",
		find(a.Settings, "auth.bearer"):                     "env:SALES_TOKEN sidecar.yaml:5",
		find(a.Settings, "timeout.attempt"):                 "30s built-in",
		a.Upstream:                                          "https://sales.example.com/base",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestLettersNewestFirst(t *testing.T) {
	w := newWorld()
	w.letters = []*dlq.Letter{}
	for _, id := range strings.Split("abcdefg", "") {
		w.letters = append(w.letters, letter(id))
	}
	h := w.handler(nil)
	for query, want := range map[string]string{
		"newest=true":                 "gfedcba",
		"newest=true&limit=2":         "gf+",
		"newest=true&limit=3":         "gfe+",
		"newest=true&limit=7":         "gfedcba",
		"newest=true&limit=2&after=f": "ed+",
		"newest=true&limit=2&after=c": "ba",
		"newest=true&after=a":         "",
		"newest=false&limit=2":        "ab+",
	} {
		var page Page
		if err := json.Unmarshal(ask(h, "GET", "/api/v1/letters?"+query, "").Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, l := range page.Letters {
			got += l.ID
		}
		if page.More {
			got += "+"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if p := problemOf(t, ask(h, "GET", "/api/v1/letters?newest=perhaps", "")); p.Status != 400 {
		t.Errorf("%+v", p)
	}
	if p := problemOf(t, ask(h, "GET", "/api/v1/letters?newest=true&from=kafka", "")); p.Status != 400 {
		t.Errorf("%+v", p)
	}
}
