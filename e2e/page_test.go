package e2e

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// admin asks the admin listener as a browser or a script does.
func (s *Sidecar) admin(t *testing.T, path, accept string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Admin+path, nil)
	must(t, err)
	request.Header.Set("Accept", accept)
	response, err := s.client.Do(request)
	must(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func read(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	must(t, err)
	return string(text)
}

func TestTheStatusPageIsServedToBrowsersOnly(t *testing.T) {
	t.Parallel()
	s := Start(t, Setup{Adapters: Adapter("sales", "http://127.0.0.1:1")})
	page := s.admin(t, "/", "text/html,*/*;q=0.8")
	if text := read(t, page); !strings.HasPrefix(text, "<!doctype html>") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%v %.100s", page.Header, text)
	}
	if text := read(t, s.admin(t, "/", "*/*")); !strings.Contains(text, "/api/v1/events") {
		t.Errorf("%.200s", text)
	}
	if script := s.admin(t, "/page/app.js", "*/*"); script.StatusCode != 200 || script.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%d %v", script.StatusCode, script.Header)
	}
}

func TestExchangesAreToldWithTheirAttemptsAndNothingSecret(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), OK("done"))
	s := Start(t, Setup{Env: []string{"TOKEN=canary-token"}, Adapters: Adapter("sales", up.URL, "idempotency: { honoured: true }", "auth: { bearer: env:TOKEN }")})
	s.Post(t, "/sales/orders?card=canary-query", `{"canary":"body"}`, "X-Correlation-ID: corr-1", "X-Tenant-ID: acme").WantStatus(t, 200)
	var exchanges string
	Eventually(t, "the exchange to be told", func() bool {
		exchanges = read(t, s.admin(t, "/api/v1/exchanges", "*/*"))
		return strings.Contains(exchanges, "corr-1")
	})
	for _, want := range []string{`"path":"/orders"`, `"attempts_total":2`, `"status":503`, `"status":200`, `"tenant_id":"acme"`, `"adapter":"sales"`} {
		if !strings.Contains(exchanges, want) {
			t.Errorf("it lacks %s: %s", want, exchanges)
		}
	}
	all := exchanges + read(t, s.admin(t, "/api/v1/config", "*/*")) + read(t, s.admin(t, "/api/v1/series", "*/*")) + read(t, s.admin(t, "/api/v1/status", "*/*"))
	if strings.Contains(all, "canary") {
		t.Errorf("a secret, a query value or a body is told: %s", all)
	}
	if !strings.Contains(all, `"total":1`) || !strings.Contains(all, `sidecar.yaml:`) {
		t.Errorf("%s", all)
	}
}

func TestEventsComeAndEndWithTheDrain(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("done")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	stream := s.admin(t, "/api/v1/events", "text/event-stream")
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	next := func(name string) string {
		for lines.Scan() {
			if lines.Text() == "event: "+name && lines.Scan() {
				return lines.Text()
			}
		}
		t.Fatalf("the stream ended before %s: %v", name, lines.Err())
		return ""
	}
	if first := next("status"); !strings.Contains(first, `"ready":true`) {
		t.Errorf("%.300s", first)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Try(t.Context(), http.MethodGet, "/sales/a", "")
	}()
	gate.WaitEntered(t)
	if second := next("status"); !strings.Contains(second, `"in_flight":1`) {
		t.Errorf("%.300s", second)
	}
	s.Term()
	next("draining")
	if lines.Scan() && lines.Text() != "" || lines.Scan() {
		t.Errorf("after the drain came %q", lines.Text())
	}
	gate.Open()
	<-done
	if code := s.Wait(patience); code != 0 {
		t.Errorf("code %d", code)
	}
}
