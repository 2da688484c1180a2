package policy

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/dlq"
	"github.com/fsm-integrations/sidecar/internal/idempotency"
	"github.com/fsm-integrations/sidecar/internal/problem"
	"github.com/fsm-integrations/sidecar/internal/wire"
)

// openKeys is the real store on a clock that the test moves.
func openKeys(t testing.TB, now func() time.Time) *idempotency.Embedded {
	t.Helper()
	store, err := idempotency.OpenEmbedded(filepath.Join(t.TempDir(), "keys.db"), idempotency.EmbeddedOptions{SweepEvery: -1, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// keyedCall is a write with a key of its own.
func keyedCall(t testing.TB, key, body string) *Exchange {
	x := testExchange(t, "POST", "/orders", body)
	x.Request.Fields.Add("Idempotency-Key", key)
	return x
}

// answers is a rest of the chain that answers with a whole body.
func answers(status int, body string, calls *int) Next {
	return func(*Exchange) (*wire.Response, error) {
		*calls++
		return &wire.Response{Status: status, Fields: wire.Fields{{Name: "X-From", Value: "upstream"}}, Content: []byte(body)}, nil
	}
}

func TestAKeyRunsOnceAndItsOutcomeIsReplayed(t *testing.T) {
	for _, status := range []int{200, 201, 204, 302, 400, 404, 422} {
		calls := 0
		stage := keyStages(testSettings(), testIdentity(), openKeys(t, nil))(answers(status, "done", &calls))
		first := keyedCall(t, "k", "{}")
		resp, err := stage(first)
		if err != nil || resp.Status != status || resp.Fields.Has("Idempotency-Replayed") || first.Idempotency != "stored" {
			t.Fatalf("%d: %v, %v, %s", status, resp, err, first.Idempotency)
		}
		again := keyedCall(t, "k", "{}")
		resp, err = stage(again)
		if err != nil || resp.Status != status || string(resp.Content) != "done" || resp.Fields.Get("Idempotency-Replayed") != "true" ||
			resp.Fields.Get("X-From") != "upstream" || again.Idempotency != "replayed" || calls != 1 {
			t.Errorf("%d again: %v, %v, %s after %d calls", status, resp, err, again.Idempotency, calls)
		}
	}
}

func TestAnOutcomeThatIsNotFinalFreesItsKey(t *testing.T) {
	for name, next := range map[string]Next{
		"408": answers(408, "", new(int)), "409": answers(409, "", new(int)), "425": answers(425, "", new(int)), "429": answers(429, "", new(int)),
		"500": answers(500, "", new(int)), "503": answers(503, "", new(int)),
		"never sent":  func(*Exchange) (*wire.Response, error) { return nil, problem.New(problem.UpstreamUnreachable, "") },
		"rate limit":  func(*Exchange) (*wire.Response, error) { return nil, problem.New(problem.RateLimited, "") },
		"credentials": func(*Exchange) (*wire.Response, error) { return nil, problem.New(problem.CredentialsUnavailable, "") },
		"left unsent": func(*Exchange) (*wire.Response, error) { return nil, ErrCanceled },
	} {
		t.Run(name, func(t *testing.T) {
			calls, store := 0, openKeys(t, nil)
			x := keyedCall(t, "k", "{}")
			_, _ = keyStages(testSettings(), testIdentity(), store)(next)(x)
			resp, err := keyStages(testSettings(), testIdentity(), store)(answers(200, "", &calls))(keyedCall(t, "k", "{}"))
			if err != nil || calls != 1 || resp.Fields.Has("Idempotency-Replayed") || x.Idempotency != "released" {
				t.Errorf("%v, %v after %d calls, first %s", resp, err, calls, x.Idempotency)
			}
		})
	}
}

func TestTheSameKeyForAnotherRequestIsRefused(t *testing.T) {
	calls := 0
	stage := keyStages(testSettings(), testIdentity(), openKeys(t, nil))(answers(200, "", &calls))
	_, _ = stage(keyedCall(t, "k", `{"a":1}`))
	x := keyedCall(t, "k", `{"a":2}`)
	if _, err := stage(x); kindOf(err) != problem.KeyReused || x.Idempotency != "reused" {
		t.Errorf("another body: %v, %s", err, x.Idempotency)
	}
	x = keyedCall(t, "k", `{"a":1}`)
	x.Request.Target, x.Target = "/orders?dry=1", "/orders?dry=1"
	if _, err := stage(x); kindOf(err) != problem.KeyReused {
		t.Errorf("another query: %v", err)
	}
}

func TestAKeyIsItsOwnInEachScope(t *testing.T) {
	store, calls := openKeys(t, nil), 0
	call := func(adapter string, edit func(*Exchange)) {
		t.Helper()
		id := testIdentity()
		id.Name = adapter
		x := keyedCall(t, "k", "{}")
		edit(x)
		if _, err := keyStages(testSettings(), id, store)(answers(200, "", &calls))(x); err != nil {
			t.Errorf("%s: %v", adapter, err)
		}
	}
	for range 2 { // the second time each finds its own outcome
		call("erp", func(*Exchange) {})
		call("crm", func(*Exchange) {})
		call("erp", func(x *Exchange) { x.Tenant = "acme" })
		call("erp", func(x *Exchange) { x.Request.Method = "PUT" })
		call("erp", func(x *Exchange) { x.Request.Target, x.Target = "/invoices", "/invoices" })
		call("erp", func(x *Exchange) { x.Request.Fields.Set("Idempotency-Key", "k2") })
		if calls != 6 {
			t.Errorf("%d calls, want 6", calls)
		}
	}
}

func TestReadsAndFreshKeysAreNotRemembered(t *testing.T) {
	store := openKeys(t, nil)
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		x := testExchange(t, method, "/orders", "")
		x.Request.Fields.Add("Idempotency-Key", "k")
		calls := 0
		_, _ = keyStages(testSettings(), testIdentity(), store)(answers(200, "", &calls))(x)
		if calls != 1 || x.Key.Value != "" || x.Request.Fields.Get("Idempotency-Key") != "k" {
			t.Errorf("%s: key %v, fields %v", method, x.Key, x.Request.Fields)
		}
	}
	x, calls := testExchange(t, "POST", "/orders", "{}"), 0
	_, _ = keyStages(testSettings(), testIdentity(), store)(answers(200, "", &calls))(x)
	if x.Key.Source != KeyFresh || x.Key.Scope != "" || x.Request.Fields.Get("X-Idempotency-Key") != x.Key.Value || x.Idempotency != "fresh" {
		t.Errorf("fresh: %+v, %s", x.Key, x.Idempotency)
	}
	if n := store.Stats().InFlight; n != 0 {
		t.Errorf("%d keys in flight", n)
	}
}

// unknownCall leaves a key behind whose outcome nobody knows.
func unknownCall(t *testing.T, s *Settings, store idempotency.Store) *Exchange {
	x := keyedCall(t, "k", "{}")
	lost := func(x *Exchange) (*wire.Response, error) {
		x.Attempts = append(x.Attempts, dlq.Attempt{Sent: true, Error: "upstream-timeout"})
		x.Unknown = true
		return nil, problem.New(problem.UpstreamTimeout, "")
	}
	if _, err := keyStages(s, testIdentity(), store)(lost)(x); err == nil || x.Idempotency != "unknown" {
		t.Fatalf("%v, %s", err, x.Idempotency)
	}
	return x
}

func TestAKeyOfUnknownOutcomeIsSentAgainOnlyToWhoHonoursKeys(t *testing.T) {
	for _, honoured := range []bool{false, true} {
		s, store, calls := testSettings(), openKeys(t, nil), 0
		s.Idempotency.Honoured = honoured
		first := unknownCall(t, s, store)
		x := keyedCall(t, "k", "{}")
		_, err := keyStages(s, testIdentity(), store)(answers(200, "", &calls))(x)
		p, _ := err.(*problem.Problem)
		switch {
		case honoured && (err != nil || calls != 1 || x.Idempotency != "stored"):
			t.Errorf("honoured: %v after %d calls, %s", err, calls, x.Idempotency)
		case !honoured && (kindOf(err) != problem.OutcomeUnknown || p.LetterID != first.NewLetterID() || calls != 0 || x.Idempotency != "unknown"):
			t.Errorf("not honoured: %v after %d calls, %s", err, calls, x.Idempotency)
		}
	}
}

func TestALeaseThatRanOutIsOfUnknownOutcome(t *testing.T) {
	now := time.Now()
	store := openKeys(t, func() time.Time { return now })
	entered, leave, calls := make(chan struct{}), make(chan struct{}), 0
	slow := keyedCall(t, "k", "{}")
	ended := make(chan error)
	go func() {
		_, err := keyStages(testSettings(), testIdentity(), store)(func(*Exchange) (*wire.Response, error) {
			close(entered)
			<-leave
			return &wire.Response{Status: 200, Content: []byte("late")}, nil
		})(slow)
		ended <- err
	}()
	<-entered
	now = now.Add(6 * time.Minute)
	stage := keyStages(testSettings(), testIdentity(), store)(answers(200, "", &calls))
	if _, err := stage(keyedCall(t, "k", "{}")); kindOf(err) != problem.OutcomeUnknown || calls != 0 {
		t.Errorf("%v after %d calls", err, calls)
	}
	close(leave)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if resp, err := stage(keyedCall(t, "k", "{}")); err != nil || string(resp.Content) != "late" {
		t.Errorf("what the owner learned late is lost: %v, %v", resp, err)
	}
}

func TestAPanicLeavesTheKeyUnknown(t *testing.T) {
	store, calls := openKeys(t, nil), 0
	func() {
		defer func() { _ = recover() }()
		_, _ = keyStages(testSettings(), testIdentity(), store)(func(*Exchange) (*wire.Response, error) { panic("bug") })(keyedCall(t, "k", "{}"))
	}()
	if _, err := keyStages(testSettings(), testIdentity(), store)(answers(200, "", &calls))(keyedCall(t, "k", "{}")); kindOf(err) != problem.OutcomeUnknown {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// brokenStore fails at one of its steps.
type brokenStore struct {
	idempotency.Store
	begin, settle error
}

func (b *brokenStore) Begin(ctx context.Context, r idempotency.Request) (idempotency.Decision, error) {
	if b.begin != nil {
		return idempotency.Decision{}, b.begin
	}
	return b.Store.Begin(ctx, r)
}

func (b *brokenStore) Finish(ctx context.Context, s idempotency.Scope, o idempotency.Owner, out *idempotency.Outcome, ttl time.Duration) error {
	if b.settle != nil {
		return b.settle
	}
	return b.Store.Finish(ctx, s, o, out, ttl)
}

func TestAStoreThatFailsOpensOrCloses(t *testing.T) {
	disk := errors.New("disk on fire")
	for policy, want := range map[string]problem.Kind{"fail_open": "", "fail_closed": problem.StoreUnavailable} {
		s, calls, x := testSettings(), 0, keyedCall(t, "k", "{}")
		s.Idempotency.Store = policy
		_, err := keyStages(s, testIdentity(), &brokenStore{begin: disk})(answers(200, "", &calls))(x)
		if kindOf(err) != want || calls != map[bool]int{true: 1, false: 0}[want == ""] || x.Idempotency != "store_failed" || !errors.Is(x.StoreError, disk) {
			t.Errorf("%s: %v after %d calls, %s, %v", policy, err, calls, x.Idempotency, x.StoreError)
		}
	}
	x, calls := keyedCall(t, "k", "{}"), 0
	resp, err := keyStages(testSettings(), testIdentity(), &brokenStore{Store: openKeys(t, nil), settle: disk})(answers(200, "", &calls))(x)
	if err != nil || resp.Status != 200 || x.Idempotency != "store_failed" || !errors.Is(x.StoreError, disk) {
		t.Errorf("settle: %v, %v, %s", resp, err, x.Idempotency)
	}
	x = keyedCall(t, "k", "{}")
	cancelable(x)()
	if _, err := keyStages(testSettings(), testIdentity(), &brokenStore{begin: context.Canceled})(answers(200, "", &calls))(x); err != ErrCanceled {
		t.Errorf("the application left: %v", err)
	}
}
