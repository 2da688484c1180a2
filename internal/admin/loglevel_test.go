package admin

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/internal/telemetry"
)

func TestTheLogLevelIsChangedForAWhile(t *testing.T) {
	world, level := newWorld(), new(telemetry.Level)
	t.Cleanup(func() { level.Override(0, 0) })
	level.Configure(slog.LevelInfo)
	h := New(Config{Controller: world, Letters: world, Log: slog.New(slog.NewTextHandler(&world.log, nil)), Level: level})
	for _, c := range []struct {
		method, target, body string
		status               int
		says                 string
		level                slog.Level
	}{
		{"GET", "/api/v1/log-level", "", 200, `{"level":"info","configured":"info"}`, slog.LevelInfo},
		{"POST", "/api/v1/log-level/debug", `{"for":"10m","who":"ann"}`, 200, `{"level":"debug","configured":"info","until":"`, slog.LevelDebug},
		{"POST", "/api/v1/log-level/error", `{}`, 200, `"until":"`, slog.LevelError},
		{"POST", "/api/v1/log-level/loud", `{}`, 404, "debug, info, warn or error", slog.LevelError},
		{"POST", "/api/v1/log-level/debug", `{"for":"ten minutes"}`, 400, "duration", slog.LevelError},
		{"POST", "/api/v1/log-level/debug", `{"for":"25h"}`, 400, "24h", slog.LevelError},
		{"POST", "/api/v1/log-level/debug", `{"for":"-1s"}`, 400, "duration", slog.LevelError},
		{"POST", "/api/v1/log-level/configured", `{}`, 200, `{"level":"info","configured":"info"}`, slog.LevelInfo},
	} {
		w := ask(h, c.method, c.target, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || level.Level() != c.level {
			t.Errorf("%s %s %s: %d %s, level %s", c.method, c.target, c.body, w.Code, w.Body, level.Level())
		}
	}
	if s := world.log.String(); strings.Count(s, `action="log level"`) != 7 || !strings.Contains(s, `who=ann`) {
		t.Errorf("audit: %s", s)
	}
	if w := ask(world.handler(nil), "GET", "/api/v1/log-level", ""); w.Code != http.StatusNotImplemented {
		t.Errorf("a sidecar whose level is fixed answers %d", w.Code)
	}
}
