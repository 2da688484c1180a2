package proxy

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/policy"
)

// auto is an adapter whose letters are replayed by themselves.
func auto(upstream string, more ...string) string {
	return erp(upstream, append(more, "dlq: { auto_replay: true }", "idempotency: { honoured: true, provider_ttl: 721h }",
		"breaker: { failure_threshold: 2, success_threshold: 1, reset_timeout: 1h }")...)
}

// serveAuto runs a proxy whose automatic replays wait as p says.
func serveAuto(t *testing.T, adapters string, p autoPauses) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.server.auto.pauses = p
	if err := r.server.Use(document(t, adapters)); err != nil {
		t.Fatal(err)
	}
	return r
}

func eventually(t testing.TB, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !true(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func (r *rig) open() int { return r.deps.Letters.Stats().OpenByAdapter["erp-main"] }

// never is a pause that no test sees the end of.
const never = time.Hour

func TestLettersAreReplayedWhenTheBreakerCloses(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Status(503), upstream.OK("1"), upstream.OK("2"))
	r := serveAuto(t, auto(u.URL()), autoPauses{look: never, first: never, most: never})
	first, second := r.failed("Idempotency-Key", "1"), r.failed("Idempotency-Key", "2")
	if r.open() != 2 || u.Hits() != 2 {
		t.Fatalf("%d letters, %d requests while the breaker is open", r.open(), u.Hits())
	}
	if err := r.server.SetBreaker("erp", BreakerClose); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both letters are replayed", func() bool { return r.open() == 0 })
	if a, b := u.Request(3).Fields.Get("X-Idempotency-Key"), u.Request(4).Fields.Get("X-Idempotency-Key"); a != first.Metadata.IdempotencyKey || b != second.Metadata.IdempotencyKey {
		t.Errorf("sent %q, then %q: want the oldest first", a, b)
	}
	if l, _ := r.deps.Letters.Get(first.ID); len(l.Audit) != 1 || l.Audit[0].Who != "sidecar" || l.Audit[0].Outcome != "replayed" {
		t.Errorf("audit %+v", l.Audit)
	}
}

func TestWithoutOtherCallsALetterIsTheProbeOfTheBreaker(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Status(503), upstream.OK("1"), upstream.OK("2"))
	r := serveAuto(t, strings.Replace(auto(u.URL()), "reset_timeout: 1h", "reset_timeout: 300ms", 1), autoPauses{look: never, first: never, most: never})
	first := r.failed()
	r.failed()
	eventually(t, "both letters are replayed", func() bool { return r.open() == 0 })
	if u.Request(3).Fields.Get("X-Idempotency-Key") != first.Metadata.IdempotencyKey {
		t.Error("the probe is not the oldest letter")
	}
}

func TestALetterThatFailsEndsAutomaticReplaysForAWhile(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503), upstream.Status(503), upstream.Status(500), upstream.OK(""))
	r := serveAuto(t, strings.Replace(auto(u.URL()), "failure_threshold: 2", "failure_threshold: 9", 1),
		autoPauses{look: never, first: 300 * time.Millisecond, most: never, again: never, later: never})
	first := r.failed()
	r.failed()
	r.server.auto.breakerChanged("erp")
	eventually(t, "the first letter fails again", func() bool { return r.actions(first.ID) != "" })
	failed := time.Now()
	eventually(t, "a look that finds the second letter: the first is not due", func() bool {
		r.server.auto.breakerChanged("erp") // in vain: each letter that opens the breaker would bring the next
		return r.open() == 1
	})
	if took := time.Since(failed); took < 250*time.Millisecond {
		t.Errorf("the next letter was sent after %s", took)
	}
	r.server.auto.stop()
	r.server.auto.done.Wait()
	if l, _ := r.deps.Letters.Get(first.ID); l.State != dlq.Dead || len(l.Audit) != 1 || u.Hits() != 4 {
		t.Errorf("the first letter is %s after %d replays, %d requests", l.State, len(l.Audit), u.Hits())
	}
}

func TestPausesGrow(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second} {
		if got := doubled(time.Second, 10*time.Second, n); got != want {
			t.Errorf("after %d failures in a row %s, want %s", n, got, want)
		}
	}
}

func TestWhichLettersAreReplayedByThemselves(t *testing.T) {
	r := serveAuto(t, auto("http://127.0.0.1:1", "operations: [ { match: { path: /not }, idempotency: { honoured: false } } ]"), autoPauses{look: never, again: time.Minute, later: time.Hour})
	now := time.Now()
	row := func(who string, ago time.Duration) dlq.Audit {
		return dlq.Audit{Who: who, Action: dlq.ActionReplay, Time: now.Add(-ago), Outcome: "failed"}
	}
	for name, c := range map[string]struct {
		edit func(*dlq.Letter)
		want bool
	}{
		"one that was never tried":    {func(*dlq.Letter) {}, true},
		"one that a person tried":     {func(l *dlq.Letter) { l.Audit = []dlq.Audit{row("ann", 0)} }, true},
		"one that failed just now":    {func(l *dlq.Letter) { l.Audit = []dlq.Audit{row("sidecar", 30*time.Second)} }, false},
		"one that failed a while ago": {func(l *dlq.Letter) { l.Audit = []dlq.Audit{row("sidecar", 61*time.Second)} }, true},
		"one that failed often":       {func(l *dlq.Letter) { l.Audit = []dlq.Audit{row("sidecar", time.Hour), row("sidecar", 90*time.Second)} }, false},
		"one that the system refuses": {func(l *dlq.Letter) {
			l.Audit, l.Attempts = []dlq.Audit{row("sidecar", time.Hour)}, []dlq.Attempt{{Status: 422}}
		}, false},
		"one that the system throttled": {func(l *dlq.Letter) {
			l.Audit, l.Attempts = []dlq.Audit{row("sidecar", time.Hour)}, []dlq.Attempt{{Status: 429}}
		}, true},
		"one that is older than the key":    {func(l *dlq.Letter) { l.Metadata.FirstAttempt = now.Add(-722 * time.Hour) }, false},
		"one of keys that are not honoured": {func(l *dlq.Letter) { l.OriginalMessage.Target = "/not" }, false},
		"one without its body":              {func(l *dlq.Letter) { l.OriginalMessage.BodyOmitted = true }, false},
		"one that is closed":                {func(l *dlq.Letter) { l.State = dlq.Resolved }, false},
	} {
		l := &dlq.Letter{ID: "a", State: dlq.Dead, OriginalMessage: dlq.Message{Method: "POST", Target: "/orders"}, Metadata: dlq.Metadata{Adapter: "erp", FirstAttempt: now}}
		c.edit(l)
		if got := r.server.auto.due(l, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAutomaticReplaysTakeASmallPartOfTheLimit(t *testing.T) {
	for refill, want := range map[float64]rate.Limit{0.5: 0.25, 2: 1, 10: 1, 50: 5, 1000: 10} {
		if got := autoRate(policy.NewLimiter(policy.RateLimit{Capacity: 1, RefillRate: refill}, nil, "erp")); got != want {
			t.Errorf("%g a second: %g, want %g", refill, got, want)
		}
	}
	if got := autoRate(nil); got != 1 {
		t.Errorf("without a limit %g", got)
	}
}

func TestAutomaticReplaysEndWithTheirConfiguration(t *testing.T) {
	u := upstream.Script(t, upstream.Status(503))
	r := serveAuto(t, auto(u.URL()), autoPauses{look: never})
	if len(r.server.auto.running) != 1 {
		t.Fatalf("%d run, want 1", len(r.server.auto.running))
	}
	if err := r.server.Use(document(t, erp(u.URL()))); err != nil {
		t.Fatal(err)
	}
	r.server.auto.done.Wait()
	r.failed()
	if len(r.server.auto.running) != 0 || r.open() != 1 {
		t.Errorf("%d run, %d letters", len(r.server.auto.running), r.open())
	}
}
