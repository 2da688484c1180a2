package policy

import (
	"net/http"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/accepted"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/upstream"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

func async(s *Settings) { s.Delivery = "async" }

// asyncRig is a rig whose chain can accept.
func asyncRig(t testing.TB, url string, edits ...func(*Settings)) (*rig, *accepted.Store) {
	t.Helper()
	s := quick(append(edits, async)...)
	r := newRig(t, url, quick())
	store, err := accepted.Open(accepted.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	r.host, r.deps.Accepted = testHost(t, url, s), store
	if r.next, err = Compile(s, r.host, r.deps); err != nil {
		t.Fatal(err)
	}
	return r, store
}

// delivery is a try of an exchange as it was accepted.
func (r *rig) delivery(kept *accepted.Exchange) *Exchange {
	x := r.exchange(kept.Method, kept.Target, string(kept.Body))
	x.Request.Fields = kept.Fields
	x.Delivery = &Delivery{Exchange: kept, Stop: make(chan struct{})}
	return x
}

func (r *rig) letters() []*dlq.Letter {
	r.t.Helper()
	list, err := r.spool.List(dlq.Filter{}, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *rig) accept(fields ...string) *accepted.Exchange {
	r.t.Helper()
	a := r.call("POST", "/orders", `{"a":1}`, fields...)
	if a.err != nil || a.status != 202 || a.x.Accepted == nil {
		r.t.Fatalf("status %d, %v", a.status, a.err)
	}
	return a.x.Accepted
}

func TestWhatGoesToTheDiskIsWhatIsSent(t *testing.T) {
	r, _ := asyncRig(t, "")
	kept := r.accept("Idempotency-Key", "k", "X-Order-Key", "o", "Prefer", "respond-async, wait=1", "Prefer", "respond-async", "Cookie", "c", "Authorization", "a", "X-Tenant-ID", "acme",
		"X-User-ID", "u", "X-Request-Timeout", "1s")
	if kept.Key != "k" || KeySource(kept.KeySource) != KeyApplication || kept.Order != "o" || kept.Tenant != "acme" || kept.User != "u" || kept.Scope == "" ||
		string(kept.Body) != `{"a":1}` || kept.TTL != 24*time.Hour || !kept.Until.Equal(kept.Accepted.Add(kept.TTL)) {
		t.Errorf("kept %+v", kept)
	}
	for _, name := range []string{"X-Order-Key", "Cookie", "Authorization", "X-Tenant-ID", "X-Request-Timeout"} {
		if kept.Fields.Has(name) {
			t.Errorf("%s is kept", name)
		}
	}
	if got := kept.Fields.Get("Prefer"); got != "wait=1" || kept.Fields.Get("X-Idempotency-Key") != "k" {
		t.Errorf("Prefer %q, fields %v", got, kept.Fields)
	}
}

func TestAFreshKeyOfAnAcceptedCallIsRemembered(t *testing.T) {
	r, _ := asyncRig(t, "")
	kept := r.accept()
	if kept.Scope == "" || kept.Order != kept.Key || KeySource(kept.KeySource) != KeyFresh {
		t.Errorf("kept %+v", kept)
	}
}

func TestAnOrderKeyMustBeVisible(t *testing.T) {
	r, _ := asyncRig(t, "")
	for _, key := range []string{"", "a b", "\x7f", string(make([]byte, 256))} {
		if a := r.call("POST", "/orders", "{}", "X-Order-Key", key); kindOf(a.err) != problem.InvalidRequest {
			t.Errorf("%q: %v", key, a.err)
		}
	}
}

func TestADeliveryThatWasNotSentIsMadeAgainAndLeavesNoLetter(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Settings)
		stop func(*rig)
		kind problem.Kind
	}{
		"breaker":     {func(*Settings) {}, func(r *rig) { r.host.Breaker.Open() }, problem.CircuitOpen},
		"credentials": {func(s *Settings) { s.Auth = &Auth{Bearer: "env:NOT_THERE"} }, func(*rig) {}, problem.CredentialsUnavailable},
		"limit": {func(s *Settings) {
			s.Host.RateLimit = &RateLimit{Capacity: 1, RefillRate: 0.001, Per: "adapter", StoreDown: "local"}
		},
			func(r *rig) { _ = r.host.Limiter.take(testExchange(r.t, "POST", "/", ""), 0) }, problem.RateLimited},
		"store": {func(s *Settings) { s.Idempotency.Store = "fail_closed" }, func(r *rig) { _ = r.keys.Close() }, problem.StoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := asyncRig(t, upstream.Script(t).URL(), c.edit)
			kept := r.accept()
			c.stop(r)
			a := r.run(r.delivery(kept))
			if kindOf(a.err) != c.kind || !a.x.Again || a.x.LetterID != "" || len(r.letters()) != 0 {
				t.Errorf("%v, again %v, letter %q", a.err, a.x.Again, a.x.LetterID)
			}
			kept.Until, kept.Reason = time.Now(), string(c.kind)
			a = r.run(r.delivery(kept))
			if kindOf(a.err) != problem.TotalTimeout || a.x.Again || a.x.LetterID != kept.ID {
				t.Errorf("too old: %v, again %v, letter %q", a.err, a.x.Again, a.x.LetterID)
			}
		})
	}
}

// The store of keys knows nothing of it, because Redis lost it or because the process died before it claimed the key.
func TestADoubtfulDeliveryIsSentAgainOnlyToAProviderThatStillKnowsItsKey(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Settings)
		ago  time.Duration
		sent bool
	}{
		"not honoured":           {func(*Settings) {}, time.Minute, false},
		"honoured":               {honoured, time.Minute, true},
		"honoured and forgotten": {honoured, 25 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			var steps []upstream.Step
			if c.sent {
				steps = append(steps, upstream.Status(http.StatusCreated))
			}
			r, _ := asyncRig(t, upstream.Script(t, steps...).URL(), c.edit)
			kept := r.accept("Idempotency-Key", "k")
			kept.Doubtful, kept.Since = true, time.Now().Add(-c.ago)
			a := r.run(r.delivery(kept))
			if c.sent {
				if a.err != nil || a.status != 201 || !a.x.KeyHeld(&wire.Response{Status: 201}, nil) {
					t.Errorf("%d %v", a.status, a.err)
				}
				return
			}
			if kindOf(a.err) != problem.OutcomeUnknown || a.x.Again || a.x.LetterID != kept.ID || len(r.letters()) != 1 || r.letters()[0].Error.Type != problem.TypeOutcomeUnknown {
				t.Errorf("%v, again %v, letter %q of %d", a.err, a.x.Again, a.x.LetterID, len(r.letters()))
			}
		})
	}
}

// What an application that waits is told, nobody would ever hear of.
func TestARefusalOfADeliveryLeavesALetter(t *testing.T) {
	r, _ := asyncRig(t, "")
	kept := r.accept()
	s := quick(async, func(s *Settings) { s.Validate = &Validate{Methods: []string{"GET"}} }) // as after a reload
	next, err := Compile(s, r.host, r.deps)
	if err != nil {
		t.Fatal(err)
	}
	r.next = next
	if a := r.run(r.delivery(kept)); kindOf(a.err) != problem.MethodNotAllowed || a.x.LetterID != kept.ID || a.x.Again {
		t.Errorf("%v, letter %q", a.err, a.x.LetterID)
	}
}

func TestPreferences(t *testing.T) {
	for value, want := range map[string]string{
		"respond-async": "", "Respond-Async": "", "respond-async, wait=10": "wait=10", "wait=10 , respond-async;x=y": "wait=10",
		"wait=10": "wait=10", "respond-async-not": "respond-async-not", "a, b": "a, b",
	} {
		fields := wire.Fields{{Name: "Prefer", Value: value}, {Name: "X", Value: "respond-async"}}
		asked := prefersAsync(fields)
		dropRespondAsync(&fields)
		if got := fields.Get("prefer"); got != want || asked != (want != value) || !fields.Has("X") {
			t.Errorf("%q: asked %v, left %q, want %q", value, asked, got, want)
		}
	}
}
