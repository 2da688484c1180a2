package admin

import (
	"net/http"
	"strings"
	"testing"
)

func host(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Add(name, value)
		}
	}
}

func TestHostMustBeOurs(t *testing.T) {
	for name, want := range map[string]int{
		"127.0.0.1:9901": 200, "127.9.9.9": 200, "[::1]:9901": 200, "[::ffff:127.0.0.1]:80": 200, "localhost:1": 200, "LOCALHOST": 200,
		"localhost.:9901": 200, "ops.example.com": 200, "OPS.example.com:9901": 200,
		"": 403, "evil.example": 403, "127.0.0.1.evil.example:9901": 403, "localhost.evil.example": 403, "10.0.0.7:9901": 403,
		"127.0.0.1]": 403, "[127.0.0.1]": 403, "[localhost]:1": 403, "::1": 403, "localhost:9901@evil.example": 403, "localhost:x": 403, "[::1": 403, "[::1]x": 403,
		"0.0.0.0:9901": 403, "169.254.169.254": 403, "ops.example.com.evil.example": 403, "[fe80::1]:9901": 403,
	} {
		w := ask(newWorld().handler(nil), "GET", "/api/v1/status", "", host(name))
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", name, w.Code, want)
		}
	}
}

func TestOriginMustBeOurs(t *testing.T) {
	for origin, want := range map[string]int{
		"": 200, "http://127.0.0.1:9901": 200,
		"http://evil.example": 403, "null": 403, "http://127.0.0.1:8000": 403, "http://127.0.0.1": 403,
		"file://127.0.0.1:9901": 403, "http://127.0.0.1:9901.evil.example": 403,
	} {
		for _, method := range []string{"GET", "POST"} {
			target := map[string]string{"GET": "/api/v1/status", "POST": "/api/v1/letters/a/replay"}[method]
			if w := ask(newWorld().handler(nil), method, target, "{}", header("Origin", origin)); w.Code != want {
				t.Errorf("%s from Origin %q: %d, want %d", method, origin, w.Code, want)
			}
		}
	}
	two := func(r *http.Request) { r.Header["Origin"] = []string{"http://127.0.0.1:9901", "http://evil.example"} }
	if w := ask(newWorld().handler(nil), "GET", "/api/v1/status", "", two); w.Code != 403 {
		t.Errorf("two origins: %d", w.Code)
	}
}

// A form of another site can post these content types without asking first.
func TestMutatingCallsNeedMoreThanAForm(t *testing.T) {
	for contentType, want := range map[string]int{
		"application/json": 200, "Application/JSON; charset=utf-8": 200,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "text/plain; application/json": 415,
	} {
		world := newWorld()
		w := ask(world.handler(nil), "POST", "/api/v1/letters/a/replay", "{}", header("Content-Type", contentType))
		if w.Code != want || (want == 200) != (len(world.replayed) == 1) {
			t.Errorf("Content-Type %q: %d with %d replays, want %d", contentType, w.Code, len(world.replayed), want)
		}
	}
	w := ask(newWorld().handler(nil), "POST", "/api/v1/letters/a/replay", "", header("Content-Type", ""), header(CLIHeader, "1"))
	if w.Code != 200 {
		t.Errorf("the command line: %d", w.Code)
	}
}

func TestRefusedRequestsAreLogged(t *testing.T) {
	world := newWorld()
	p := problemOf(t, ask(world.handler(nil), "GET", "/", "", host("evil.example")))
	if p.Type != "about:blank" || p.Title != "Forbidden" || !strings.Contains(world.log.String(), "admin request refused") {
		t.Errorf("%+v, log %s", p, world.log.String())
	}
}

func TestMethods(t *testing.T) {
	for target, method := range map[string]string{
		"/": "POST", "/api/v1/status": "DELETE", "/api/v1/letters": "POST", "/api/v1/letters/a": "DELETE",
		"/api/v1/letters/a/replay": "GET", "/api/v1/letters/a/discard": "GET", "/api/v1/breakers/sales-system/open": "GET", "/api/v1/reload": "PUT",
	} {
		world := newWorld()
		w := ask(world.handler(nil), method, target, "{}")
		if problemOf(t, w).Status != 405 || w.Header().Get("Allow") == "" || len(world.replayed) > 0 {
			t.Errorf("%s %s: %d, Allow %q", method, target, w.Code, w.Header().Get("Allow"))
		}
	}
	if w := ask(newWorld().handler(nil), "HEAD", "/api/v1/status", ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := ask(newWorld().handler(nil), "GET", "/nowhere", ""); problemOf(t, w).Status != 404 {
		t.Errorf("nowhere: %d", w.Code)
	}
}
