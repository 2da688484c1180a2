package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/proxy"
)

func accepting(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept", value) }
}

func TestWhoAsksForHealthJSONGetsIt(t *testing.T) {
	h := Probes(newWorld(), http.NotFoundHandler())
	for accept, want := range map[string]string{
		"":                                   "application/json",
		"*/*":                                "application/json",
		"application/*":                      "application/json",
		"application/json":                   "application/json",
		"application/health+json":            healthType,
		"Application/Health+JSON":            healthType,
		"application/health+json, */*;q=0.1": healthType,
		"text/html, application/health+json;q=0.5":              healthType,
		"application/json;q=0.9, application/health+json;q=0.8": "application/json",
		"application/json, application/health+json":             healthType,
		"application/health+json;q=0":                           "application/json",
		"application/health+json;q=much":                        "application/json",
		"application/health+json;;, ,;":                         "application/json",
	} {
		w := ask(h, "GET", "/health", "", accepting(accept))
		if got := w.Header().Get("Content-Type"); got != want || w.Header().Get("Vary") != "Accept" || !json.Valid(w.Body.Bytes()) {
			t.Errorf("Accept: %s: %s, want %s", accept, got, want)
		}
	}
}

func TestHealthJSONSaysWhatHealthSays(t *testing.T) {
	at := time.Date(2026, 1, 31, 9, 29, 0, 0, time.UTC)
	w := newWorld()
	w.checks = map[string]proxy.HealthCheck{
		"erp":   {Status: "pass", Latency: 12.5, Message: "not to be shown", Observed: at},
		"sales": {Status: "fail", Message: "the breaker is open"},
		"redis": {Status: "warn", Message: "redis is away", Shared: true},
	}
	want := map[string]any{
		"erp:responseTime": []any{map[string]any{"componentId": "erp", "componentType": "system", "observedValue": 12.5, "observedUnit": "ms",
			"status": "pass", "time": "2026-01-31T09:29:00Z"}},
		"sales:responseTime": []any{map[string]any{"componentId": "sales", "componentType": "system", "status": "fail", "time": "2026-01-31T09:30:00Z",
			"output": "the breaker is open"}},
		"redis": []any{map[string]any{"componentId": "redis", "componentType": "component", "status": "warn", "time": "2026-01-31T09:30:00Z", "output": "redis is away"}},
	}
	for health, expect := range map[string]struct {
		status string
		code   int
	}{"healthy": {"pass", 200}, "degraded": {"warn", 200}, "unhealthy": {"fail", 503}} {
		w.health = health
		answer := ask(Probes(w, http.NotFoundHandler()), "GET", "/health", "", accepting(healthType))
		var got map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code != expect.code || got["status"] != expect.status || got["releaseId"] != "1.2.3" {
			t.Errorf("%s: %d %s", health, answer.Code, answer.Body)
		}
		if !reflect.DeepEqual(got["checks"], any(want)) {
			t.Errorf("%s: checks\n%v\nwant\n%v", health, got["checks"], want)
		}
	}
}

// The specification's shape has three fields a check, and no others.
func TestHealthKeepsTheSpecificationsShape(t *testing.T) {
	w := newWorld()
	w.checks = map[string]proxy.HealthCheck{"erp": {Status: "pass", Latency: 1, Observed: time.Now(), Shared: true}}
	if body := ask(Probes(w, http.NotFoundHandler()), "GET", "/health", "").Body.String(); !strings.Contains(body, `{"status":"pass","latency":1,"message":""}`) {
		t.Errorf("%s", body)
	}
}
