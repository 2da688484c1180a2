package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// provider is an external system that honours keys: down at first, then each key takes effect once.
type provider struct {
	*Upstream
	up      atomic.Bool
	sent    atomic.Int64 // writes that arrived while it was up
	mu      sync.Mutex
	effects map[string]bool // by key
}

func newProvider(t *testing.T) *provider {
	p := &provider{effects: map[string]bool{}}
	p.Upstream = NewUpstream(t, p.reply)
	return p
}

func (p *provider) reply(w http.ResponseWriter, r *http.Request, h Hit) {
	if !p.up.Load() {
		Status(503)(w, r, h)
		return
	}
	if h.Method == http.MethodGet {
		OK("here")(w, r, h)
		return
	}
	p.sent.Add(1)
	p.mu.Lock()
	p.effects[h.Header.Get("X-Idempotency-Key")] = true
	p.mu.Unlock()
	OK("done")(w, r, h)
}

func (p *provider) took() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.effects)
}

// letters makes n calls that leave a letter each.
func letters(t *testing.T, s *Sidecar, n int) {
	t.Helper()
	var calls sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range n {
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			a, err := s.Try(t.Context(), "POST", fmt.Sprintf("/sales/orders?n=%d", i), "{}", fmt.Sprintf("X-Idempotency-Key: key-%d", i))
			if err != nil || a.LetterID() == "" {
				t.Errorf("call %d left no letter: %d, %v", i, a.Status, err)
			}
		})
	}
	calls.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// running is a command that has not ended.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	output bytes.Buffer
	stderr bytes.Buffer
}

func (s *Sidecar) begin(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.CommandContext(t.Context(), binary(t), args...)}
	r.cmd.Dir, r.cmd.Env = s.Dir, append(s.environment(), "SIDECAR_ADMIN="+s.Admin)
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.stderr
	must(t, r.cmd.Start())
	return r
}

func (r *running) wait() Result {
	r.t.Helper()
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return Result{Code: r.cmd.ProcessState.ExitCode(), Stdout: r.output.String(), Stderr: r.stderr.String()}
}

const onceEach = honoured + "\nretry: off\nbreaker: off"

func TestAThousandLettersAreReplayedOnceAlthoughStoppedTwice(t *testing.T) {
	t.Parallel()
	const n = 1000
	up := newProvider(t)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, onceEach), LogLevel: "error"})
	letters(t, s, n)
	if dry := s.MustCommand(t, "dlq", "replay", "--adapter", "sales", "--dry-run"); !strings.Contains(dry.Stdout, "1000 letters: 1000 would-send") {
		t.Errorf("dry run:\n%s", dry.Stdout)
	}
	up.up.Store(true)

	first := s.begin(t, "dlq", "replay", "--all", "--new-run", "night")
	Eventually(t, "a third to be replayed", func() bool { return up.sent.Load() > n/3 })
	must(t, first.cmd.Process.Signal(os.Interrupt))
	if r := first.wait(); r.Code == 0 || !containsAll(r.Stderr, "interrupted", "--run night") {
		t.Errorf("interrupted with code %d: %s", r.Code, r.Stderr)
	}
	done := up.sent.Load()
	if open := len(s.Letters(t, "--limit", "5000")); done >= n || open != n-int(done) {
		t.Errorf("%d sent and %d letters open when stopped, want %d together", done, open, n)
	}

	second := s.begin(t, "dlq", "replay", "--all", "--run", "night")
	Eventually(t, "two thirds to be replayed", func() bool { return up.sent.Load() > 2*n/3 })
	s.Kill9()
	if r := second.wait(); r.Code != 3 || !strings.Contains(r.Stderr, "--run night") {
		t.Errorf("code %d when the sidecar died: %s", r.Code, r.Stderr)
	}
	if open := up.sent.Load(); open >= n {
		t.Fatalf("all %d were sent before the sidecar was killed", open)
	}
	s.Restart()

	last := s.MustCommand(t, "dlq", "replay", "--all", "--run", "night")
	if !containsAll(last.Stderr, "continuing run night: ", " done, ", " to go") {
		t.Errorf("resumed it says %s", last.Stderr)
	}
	if up.took() != n || up.sent.Load() > n+1 { // the one under way when the sidecar was killed may have arrived
		t.Errorf("%d orders took effect, %d were sent; want %d of each:\n%s", up.took(), up.sent.Load(), n, last.Stdout)
	}
	if open := s.Letters(t); len(open) != 0 {
		t.Errorf("%d letters are still open", len(open))
	}
}

// A letter that failed in a run waits for a person, and does not hold up those after it.
func TestAResumedRunLeavesWhatItTried(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), Status(503), Status(500), OK("done"), OK("done"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, onceEach)})
	letters(t, s, 2)
	if r := s.Command(t, "dlq", "replay", "--all", "--new-run", "one"); r.Code != 1 || !strings.Contains(r.Stdout, "1 replayed, 1 failed") {
		t.Errorf("code %d: %s", r.Code, r.Stdout)
	}
	if r := s.MustCommand(t, "dlq", "replay", "--all", "--run", "one"); !strings.Contains(r.Stdout, "no letters match") {
		t.Errorf("resumed: %s", r.Stdout)
	}
	up.WantCount(t, 4)
	if r := s.Command(t, "dlq", "replay", "--all", "--run", "won"); r.Code != 1 || !strings.Contains(r.Stderr, "no letter was tried in a run named won") {
		t.Errorf("a name with a typing error: code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	up.WantCount(t, 4)
	s.MustCommand(t, "dlq", "replay", "--all", "--new-run", "two")
	up.WantCount(t, 5)
}

func TestBulkReplayKeepsToTheLimit(t *testing.T) {
	t.Parallel()
	const rate, n = 40, 60
	up := newProvider(t)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, onceEach, fmt.Sprintf("rate_limit: { capacity: 100, refill_rate: %d }", rate))})
	letters(t, s, n)
	// The same bucket, small: a provider that throttles.
	s.Write(Setup{Adapters: Adapter("sales", up.URL, onceEach, fmt.Sprintf("rate_limit: { capacity: 1, refill_rate: %d }", rate))})
	s.Hangup()
	Eventually(t, "the new configuration", func() bool { return strings.Contains(s.Log.String(), "configuration reloaded") })
	up.up.Store(true)
	before := up.Count()
	s.MustCommand(t, "dlq", "replay", "--all")
	hits := up.Hits()[before:]
	if len(hits) != n {
		t.Fatalf("%d sent, want %d", len(hits), n)
	}
	for i := range hits {
		for j := i + 1; j < len(hits); j++ { // in any stretch of time no more than the bucket allows; arrivals may bunch by 100 ms
			allowed := 1 + rate*(hits[j].At.Sub(hits[i].At).Seconds()+0.1)
			if float64(j-i+1) > allowed+1 {
				t.Fatalf("%d requests within %s, the limit allows %.1f", j-i+1, hits[j].At.Sub(hits[i].At), allowed)
			}
		}
	}
}

func TestAnUnknownOutcomeIsLookedUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lookup Reply
		state  string
		sent   int // of the order, in all
		says   string
	}{
		"found":     {Status(200), "resolved", 1, "has it already"},
		"not found": {Status(404), "replayed", 2, "replayed"},
		"unknown":   {Status(500), "dead", 1, "outcome is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var orders, lookups atomic.Int64
			up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
				switch {
				case h.Method == "GET" && h.Target == "/orders/A%2F7" && h.Header.Get("Authorization") == "Bearer tok" && h.Header.Get("X-Idempotency-Key") == "":
					lookups.Add(1)
					c.lookup(w, r, h)
				case h.Method == "POST" && orders.Add(1) == 1:
					Drop(w, r, h)
				case h.Method == "POST":
					OK("done")(w, r, h)
				default:
					Status(418)(w, r, h)
				}
			})
			s := Start(t, Setup{Env: []string{"TOKEN=tok"}, Adapters: Adapter("sales", up.URL, "retry: off", "idempotency: { honoured: false }", "auth: { bearer: env:TOKEN }",
				`reconcile: { path: "/orders/{body:/orderId}", applied_when: status 200, settle: 0s }`)})
			id := s.Post(t, "/sales/orders", `{"orderId":"A/7"}`, keyOne).LetterID()
			if dry := s.MustCommand(t, "dlq", "replay", id, "--dry-run"); lookups.Load() != 0 || !strings.Contains(dry.Stdout, "asked first") {
				t.Errorf("dry run asked %d times: %s", lookups.Load(), dry.Stdout)
			}
			r := s.Command(t, "dlq", "replay", id)
			if l := s.Letter(t, id); l.State != c.state || int(orders.Load()) != c.sent || lookups.Load() != 1 {
				t.Errorf("state %s after %d orders and %d lookups, want %s after %d and 1:\n%s", l.State, orders.Load(), lookups.Load(), c.state, c.sent, r.Stdout)
			}
			if (r.Code == 0) != (c.state != "dead") || !strings.Contains(r.Stdout, c.says) {
				t.Errorf("code %d: %s", r.Code, r.Stdout)
			}
			if show := s.MustCommand(t, "dlq", "show", id); !strings.Contains(show.Stdout, "reconcile") {
				t.Errorf("the lookup is not in the history:\n%s", show.Stdout)
			}
		})
	}
}

func TestLettersAreReplayedByThemselvesAfterAnOutage(t *testing.T) {
	t.Parallel()
	up := newProvider(t)
	s := Start(t, Setup{DLQ: "retention: 12h", Adapters: Adapter("sales", up.URL, honoured, "retry: off", "dlq: { auto_replay: true }",
		"breaker: { failure_threshold: 2, success_threshold: 1, reset_timeout: 500ms }")})
	letters(t, s, 4)
	up.up.Store(true)
	Eventually(t, "the breaker to close", func() bool { return s.Get(t, "/sales/orders").Status == 200 })
	Eventually(t, "all letters to be replayed", func() bool { return len(s.Letters(t)) == 0 })
	if up.took() != 4 {
		t.Errorf("%d orders took effect, want 4", up.took())
	}
	for _, id := range s.Letters(t, "--state", "replayed") {
		if show := s.MustCommand(t, "dlq", "show", id); !containsAll(show.Stdout, "sidecar", "replay", "replayed") {
			t.Errorf("the history does not say who replayed it:\n%s", show.Stdout)
		}
	}
}
