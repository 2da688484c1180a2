package admin

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestProbes(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") })
	cases := []struct {
		path, health string
		ready        bool
		status       int
		body         string
	}{
		{"/livez", "unhealthy", false, 200, "ok\n"},
		{"/readyz", "unhealthy", true, 200, "ready\n"}, // an unhealthy external system never makes the pod unready
		{"/readyz", "healthy", false, 503, "not ready\n"},
		{"/health", "healthy", true, 200, `"status":"healthy"`},
		{"/health", "degraded", true, 200, `"status":"degraded"`},
		{"/health", "unhealthy", true, 503, `"status":"unhealthy"`},
		{"/metrics", "healthy", true, 200, "metrics"},
		{"/", "healthy", true, 404, "there is /livez"},
		{"/api/v1/status", "healthy", true, 404, "there is /livez"},
	}
	for _, c := range cases {
		world := &world{health: c.health, ready: c.ready}
		w := ask(Probes(world, metrics), "GET", c.path, "", host("10.1.2.3:9902")) // as the kubelet asks
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s, %s, ready %v: %d %s", c.path, c.health, c.ready, w.Code, w.Body)
		}
	}
}

func TestProbesAreReadOnly(t *testing.T) {
	h := Probes(newWorld(), http.NotFoundHandler())
	for _, path := range []string{"/livez", "/readyz", "/health", "/metrics", "/"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "CONNECT"} {
			if w := ask(h, method, path, ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
}
