package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/proxy"
)

func TestReplayPassesItsOptions(t *testing.T) {
	world := newWorld()
	w := ask(world.handler(nil), "POST", "/api/v1/letters/a/replay", `{"force":true,"dry_run":true,"who":"ann","run":" night\n"}`)
	if w.Code != 200 || !slices.Equal(world.replayed, []proxy.ReplayOptions{{Who: "ann", Run: "night", Force: true, DryRun: true}}) {
		t.Errorf("%d %s %+v", w.Code, w.Body, world.replayed)
	}
	if s := world.log.String(); !strings.Contains(s, `msg=audit who=ann via=192.0.2.1:1234 auth=none action="dry run of a replay" object=a outcome=replayed`) {
		t.Errorf("audit: %s", s)
	}
}

// Told that it failed, somebody would send it a second time.
func TestReplayThatWasSentIsNotCalledFailed(t *testing.T) {
	world := newWorld()
	world.unrecorded = errors.New("write /var/lib/sidecar/dlq: no space left on device")
	w := ask(world.handler(nil), "POST", "/api/v1/letters/a/replay", "")
	if s := w.Body.String(); w.Code != 200 || !strings.Contains(s, `"result":"replayed","status":201,"reason":"this could not be written`) || strings.Contains(s, "/var") {
		t.Errorf("%d %s", w.Code, s)
	}
	if s := world.log.String(); !strings.Contains(s, "no space left") || !strings.Contains(s, `outcome=replayed reason="this could not`) {
		t.Errorf("log: %s", s)
	}
}

func TestEverythingThatChangesLeavesAnAuditLine(t *testing.T) {
	fails := func(context.Context) error { return errors.New("a fault") }
	for target, want := range map[string]string{
		"/api/v1/letters/a/replay":              `who=ann via=192.0.2.1:1234 auth=none action=replay object=a outcome=replayed request="POST /api/v1/letters/a/replay"`,
		"/api/v1/letters/zz/replay":             `who=ann via=192.0.2.1:1234 auth=none action=replay object=zz outcome=failed`,
		"/api/v1/letters/a/discard":             `action=discard object=a outcome=discarded`,
		"/api/v1/letters/zz/discard":            `action=discard object=zz outcome=failed`,
		"/api/v1/breakers/sales-system/open":    `action="breaker open" object=sales-system outcome=done`,
		"/api/v1/breakers/nobody/open":          `action="breaker open" object=nobody outcome=failed`,
		"/api/v1/breakers/sales-system/smash":   `who=unknown via=192.0.2.1:1234 auth=none action=breaker object="" outcome=refused`,
		"/api/v1/log-level/debug":               `action="log level" object=debug outcome=refused`,
		"/api/v1/reload":                        `action=reload object=configuration outcome=failed reason="a fault"`,
		"/api/v1/adopt?from=kafka":              `action=adopt object="" outcome=refused`,
		"/api/v1/letters/a/discard?\nmsg=audit": `action=discard object=a outcome=discarded request="POST /api/v1/letters/a/discard"`,
	} {
		world := newWorld()
		ask(world.handler(fails), "POST", strings.ReplaceAll(target, "\n", "%0a"), `{"who":"ann"}`)
		if s := world.log.String(); strings.Count(s, "msg=audit") != 1 || !strings.Contains(s, want) {
			t.Errorf("%s: %s", target, s)
		}
	}
	for _, target := range []string{"/api/v1/letters/%s/discard", "/api/v1/breakers/%s/open"} { // of a client that writes novels
		world := newWorld()
		ask(world.handler(nil), "POST", strings.ReplaceAll(target, "%s", strings.Repeat("a", 300_000)), `{"who":"ann"}`)
		if n := len(world.log.String()); n == 0 || n > 2000 {
			t.Errorf("%s: a line of %d bytes", target, n)
		}
	}
	for body, name := range map[string]string{"{": "127.0.0.1:9901", "{}": "evil.example"} { // a broken body, a foreign Host
		world := newWorld()
		ask(world.handler(nil), "POST", "/api/v1/letters/a/discard", body, host(name))
		if s := world.log.String(); strings.Count(s, "msg=audit") != 1 || !strings.Contains(s, "outcome=refused") {
			t.Errorf("%s to %s: %s", body, name, s)
		}
	}
}

// The whole of a letter holds what the application sent, which may be about people; a list of letters does not.
func TestWhoReadsALetterIsAudited(t *testing.T) {
	world := newWorld()
	ask(world.handler(nil), "GET", "/api/v1/letters", "")
	ask(world.handler(nil), "GET", "/api/v1/letters/zz", "")
	if s := world.log.String(); strings.Contains(s, "audit") {
		t.Errorf("nothing was shown: %s", s)
	}
	ask(world.handler(nil), "GET", "/api/v1/letters/b", "")
	if s := world.log.String(); strings.Count(s, "msg=audit") != 1 || !strings.Contains(s, "action=show object=b outcome=shown") {
		t.Errorf("log: %s", s)
	}
}

// Whoever sets the log's level must not switch off the audit.
func TestTheAuditHasALogOfItsOwn(t *testing.T) {
	world := newWorld()
	var audit logBuffer
	quiet := slog.New(slog.NewTextHandler(&world.log, &slog.HandlerOptions{Level: slog.LevelError}))
	h := New(Config{Controller: world, Letters: world, Log: quiet, Audit: slog.New(slog.NewTextHandler(&audit, nil))})
	ask(h, "POST", "/api/v1/letters/a/discard", "{}")
	if world.log.String() != "" || !strings.Contains(audit.String(), "msg=audit") {
		t.Errorf("log %q, audit %q", world.log.String(), audit.String())
	}
}

func TestNamesAreFitForALog(t *testing.T) {
	for in, want := range map[string]string{"": "unknown", "  ": "unknown", "ann\n{}": "ann{}", "\x1b[31m": "[31m", strings.Repeat("ü", 99): strings.Repeat("ü", 64)} {
		if got := cleanName(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestBodiesAreBoundedAndStrict(t *testing.T) {
	for body, want := range map[string]int{
		"": 200, "{}": 200, `{"who":"x"} `: 200,
		`{`: 400, `[]`: 400, `{"forced":true}`: 400, `{} {}`: 400, `{"force":"yes"}`: 400, `{"who":"` + strings.Repeat("x", maxBody) + `"}`: 413,
	} {
		world := newWorld()
		w := ask(world.handler(nil), "POST", "/api/v1/letters/a/replay", body)
		if w.Code != want || (want == 200) != (len(world.replayed) == 1) {
			t.Errorf("%.40s: %d, %d replays, want %d", body, w.Code, len(world.replayed), want)
		}
	}
}

func TestBreakers(t *testing.T) {
	world := newWorld()
	w := ask(world.handler(nil), "POST", "/api/v1/breakers/sales-system/open", "")
	if got := strings.TrimSpace(w.Body.String()); got != `{"object":"sales-system","outcome":"open","breaker":{"state":"open","failures":0,"manual":true}}` {
		t.Errorf("%s", got)
	}
	for target, want := range map[string]int{"sales-system/explode": 404, "nobody/open": 404} {
		if w := ask(world.handler(nil), "POST", "/api/v1/breakers/"+target, ""); problemOf(t, w).Status != want {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	world.failure = proxy.ErrBreakerOff
	if p := problemOf(t, ask(world.handler(nil), "POST", "/api/v1/breakers/sales-system/open", "")); p.Status != 409 {
		t.Errorf("off: %+v", p)
	}
}

func TestReload(t *testing.T) {
	good := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errors.New("c.yaml:1:2: a: wrong\nc.yaml:3:4: b: wrong") }
	if w := ask(newWorld().handler(good), "POST", "/api/v1/reload", ""); w.Code != http.StatusOK {
		t.Errorf("good: %d", w.Code)
	}
	p := problemOf(t, ask(newWorld().handler(bad), "POST", "/api/v1/reload", ""))
	if p.Status != 422 || !slices.Equal(p.Faults, []string{"c.yaml:1:2: a: wrong", "c.yaml:3:4: b: wrong"}) {
		t.Errorf("bad: %+v", p)
	}
	if p := problemOf(t, ask(newWorld().handler(nil), "POST", "/api/v1/reload", "")); p.Status != 501 {
		t.Errorf("none: %+v", p)
	}
}

func TestIndexNamesEveryEndpoint(t *testing.T) {
	world := newWorld()
	w := ask(world.handler(nil), "GET", "/", "")
	for _, r := range (&server{}).routes() {
		if !strings.Contains(w.Body.String(), r.path) {
			t.Errorf("%s is missing", r.path)
		}
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// The spool leaves a letter with an outcome as it is; somebody who discards it must not be told it was done.
func TestDiscardSaysNoToLettersWithAnOutcome(t *testing.T) {
	for state, want := range map[dlq.State]int{dlq.Dead: 200, dlq.Forwarded: 200, dlq.Discarded: 200, dlq.Replayed: 409, dlq.Resolved: 409} {
		world := newWorld()
		world.letters[0].State = state
		if w := ask(world.handler(nil), "POST", "/api/v1/letters/a/discard", ""); w.Code != want {
			t.Errorf("%s: %d", state, w.Code)
		}
	}
}
