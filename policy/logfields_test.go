package policy

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/telemetry"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// TestEveryFieldOfTheLogIsDocumented, and no other: people build alerts on these names.
func TestEveryFieldOfTheLogIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	w := newWatcher(t, nil)
	full := testExchange(t, "POST", "/", "")
	full.Tenant, full.User, full.Operation, full.TraceID, full.SpanID = "t", "u", "o", theirTrace, theirSpan
	full.Idempotency, full.LetterID, full.RetriesEnded, full.LimitWait = "stored", "l", "budget", 5
	full.Unknown, full.LetterLost, full.Again = true, true, true
	full.Replay, full.Accepted, full.Delivery = &Replay{Letter: &dlq.Letter{}}, &accepted.Exchange{ID: "e"}, &Delivery{Exchange: &accepted.Exchange{ID: "e"}}
	full.StoreError, full.SpoolError, full.TokenError = errors.New("s"), errors.New("s"), errors.New("s")
	full.Unjudged = errors.New("u")
	_, _ = observe(testSettings(), w.host, Deps{Metrics: w.metrics, Log: slog.New(slog.NewJSONHandler(&w.log, nil)).With("service", "s")})(fails(problem.New(problem.Internal, "d")))(full)
	emitted := slices.Sorted(maps.Keys(w.line()))
	if slices.Sort(documented); !slices.Equal(documented, emitted) {
		t.Errorf("docs/logs.md has %v,\nthe line %v", documented, emitted)
	}
}

func TestAShareOfSuccessesIsLoggedAndEveryFailure(t *testing.T) {
	for name, c := range map[string]struct {
		ratio float64
		level slog.Level
		next  Next
		edit  func(*Exchange)
		want  bool
	}{
		"all":                     {1, slog.LevelInfo, content(200), nil, true},
		"none":                    {0, slog.LevelInfo, content(200), nil, false},
		"a failure":               {0, slog.LevelInfo, content(500), nil, true},
		"a refusal":               {0, slog.LevelInfo, fails(problem.New(problem.RateLimited, "d")), nil, true},
		"a lost letter":           {0, slog.LevelInfo, content(200), func(x *Exchange) { x.LetterLost = true }, true},
		"a replay":                {0, slog.LevelInfo, content(200), func(x *Exchange) { x.Replay = &Replay{Letter: &dlq.Letter{}} }, true},
		"a store that failed":     {0, slog.LevelInfo, content(200), func(x *Exchange) { x.StoreError = errors.New("e") }, true},
		"a spool that failed":     {0, slog.LevelInfo, content(200), func(x *Exchange) { x.SpoolError = errors.New("e") }, true},
		"a token that ends":       {0, slog.LevelInfo, content(200), func(x *Exchange) { x.TokenError = errors.New("e") }, true},
		"what was not judged":     {0, slog.LevelInfo, content(200), func(x *Exchange) { x.Unjudged = errors.New("e") }, true},
		"debug":                   {0, slog.LevelDebug, content(200), nil, true},
		"only warnings":           {1, slog.LevelWarn, content(200), nil, false},
		"only warnings, of these": {0, slog.LevelWarn, content(500), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatcher(t, nil)
			log := slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: c.level}))
			x := testExchange(t, "POST", "/", "")
			if c.edit != nil {
				c.edit(x)
			}
			_, _ = observe(testSettings(), w.host, Deps{Metrics: w.metrics, Log: log, Logged: telemetry.NewShare(c.ratio)})(c.next)(x)
			if got := w.log.Len() > 0; got != c.want {
				t.Errorf("logged %q", w.log.String())
			}
		})
	}
}

func TestWhatIsLoggedIsWhatIsTraced(t *testing.T) {
	r, recorder := newTracedRig(t, "", quick(), .3)
	var log strings.Builder
	r.deps.Log, r.deps.Logged = slog.New(slog.NewJSONHandler(&log, nil)), telemetry.NewShare(.3)
	next := observe(quick(), r.host, r.deps)(stamp(quick(), r.deps.Tracer)(func(*Exchange) (*wire.Response, error) { return &wire.Response{Status: 200}, nil }))
	for range 200 {
		if _, err := next(r.exchange("GET", "/", "")); err != nil {
			t.Fatal(err)
		}
	}
	logged := map[string]string{}
	for line := range strings.Lines(log.String()) {
		var l struct {
			TraceID string `json:"trace_id"`
			SpanID  string `json:"span_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		logged[l.TraceID] = l.SpanID
	}
	for _, s := range recorder.Ended() {
		if id := s.SpanContext(); logged[id.TraceID().String()] != id.SpanID().String() {
			t.Errorf("trace %s is recorded and not logged with its span", id.TraceID())
		}
	}
	if n := len(recorder.Ended()); n != len(logged) || n == 0 || n == 200 {
		t.Errorf("%d recorded, %d logged of 200", n, len(logged))
	}
}
