package admin

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/secret"
)

func accept(media string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept", media) }
}

func TestABrowserGetsThePageAndEverybodyElseTheRoutes(t *testing.T) {
	h := newWorld().handler(nil)
	for media, kind := range map[string]string{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html; charset=utf-8",
		"text/plain, TEXT/HTML;q=0.5":                                     "text/html; charset=utf-8",
		"*/*":                                                             "text/plain; charset=utf-8",
		"application/json":                                                "text/plain; charset=utf-8",
		"":                                                                "text/plain; charset=utf-8",
		";;;,text/htmlx":                                                  "text/plain; charset=utf-8",
	} {
		if w := ask(h, "GET", "/", "", accept(media)); w.Code != 200 || w.Header().Get("Content-Type") != kind || w.Header().Get("Vary") != "Accept" {
			t.Errorf("Accept: %s: %d %v", media, w.Code, w.Header())
		}
	}
}

func TestThePageTakesNothingFromAnywhereElse(t *testing.T) {
	h := newWorld().handler(nil)
	for name, p := range parts() {
		w := ask(h, "GET", pagePrefix+name, "")
		if w.Code != 200 || w.Header().Get("Content-Type") != p.kind || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, must := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, must) {
				t.Errorf("%s: its policy lacks %s", name, must)
			}
		}
		for _, foreign := range []string{"https://", "//cdn", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick="} {
			if strings.Contains(string(p.content), foreign) {
				t.Errorf("%s holds %s", name, foreign)
			}
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: an older sidecar's part may be shown", name)
		}
	}
	for _, name := range []string{"nothing.js", "..%2fadmin.go", ""} {
		if w := ask(h, "GET", pagePrefix+name, ""); w.Code != http.StatusNotFound {
			t.Errorf("%q: %d", name, w.Code)
		}
	}
	if w := ask(h, "POST", pagePrefix+"app.js", "{}"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("%d", w.Code)
	}
}

// Every part is small, and all of them together are, for they are in the binary.
func TestThePageStaysSmall(t *testing.T) {
	all := 0
	for name, p := range parts() {
		if all += len(p.content); len(p.content) > 20<<10 {
			t.Errorf("%s has %d bytes", name, len(p.content))
		}
	}
	if all > 160<<10 {
		t.Errorf("the page has %d bytes", all)
	}
}

// Whoever has to give the token has to see where, also under a name of the sidecar that nobody has configured.
func TestThePageOpensWithoutTheTokenAndItsDataDoesNot(t *testing.T) {
	world := newWorld()
	token := func(context.Context) (secret.Value, error) { return secret.NewValue([]byte("s3cret")), nil }
	c := world.config()
	c.Token = token
	locked, open := New(c), world.handler(nil)
	elsewhere := func(r *http.Request) { r.Host = "sidecar.example.com:9901" }
	for _, path := range []string{"/", "/page/app.js", "/page/style.css"} {
		if w := ask(locked, "GET", path, "", elsewhere, accept("text/html")); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := ask(open, "GET", path, "", elsewhere, accept("text/html")); w.Code != http.StatusForbidden {
			t.Errorf("%s without a token in force: %d, although another site may have led here", path, w.Code)
		}
	}
	for _, path := range []string{"/api/v1/status", "/api/v1/events", "/api/v1/exchanges", "/api/v1/series", "/api/v1/config", "/api/v1/letters"} {
		if w := ask(locked, "GET", path, ""); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d without the token", path, w.Code)
		}
		if w := ask(locked, "GET", path, "", elsewhere); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d for another host", path, w.Code)
		}
	}
	if w := ask(locked, "POST", "/", "{}", elsewhere); w.Code != http.StatusForbidden {
		t.Errorf("%d", w.Code)
	}
}
