package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	async        = "delivery: async"
	asyncHonours = "delivery: async\nidempotency: { honoured: true }"
)

// exchange is an accepted exchange as its Location shows it.
type exchange struct {
	ID            string   `json:"id"`
	State         string   `json:"state"`
	Attempts      int      `json:"attempts"`
	CorrelationID string   `json:"correlation_id"`
	Tenant        string   `json:"tenant"`
	Status        int      `json:"status"`
	RetryAfter    int      `json:"retry_after"`
	LetterID      string   `json:"letter_id"`
	Problem       *Problem `json:"problem"`
	Response      string   `json:"response"`
}

// accepted posts an order that must be answered 202, and returns its Location.
func (s *Sidecar) accepted(t *testing.T, body string, fields ...string) string {
	t.Helper()
	a := s.Post(t, "/sales/orders", body, fields...)
	a.WantStatus(t, 202)
	location := a.Header.Get("Location")
	if !strings.HasPrefix(location, "/sales/.sidecar/exchanges/") {
		t.Fatalf("Location %q of a 202", location)
	}
	return location
}

func (s *Sidecar) exchange(t *testing.T, location string, fields ...string) exchange {
	t.Helper()
	a := s.Get(t, location, fields...)
	a.WantStatus(t, 200)
	var x exchange
	must(t, json.Unmarshal([]byte(a.Body), &x))
	return x
}

func (s *Sidecar) ended(t *testing.T, location, state string, fields ...string) (x exchange) {
	t.Helper()
	Eventually(t, location+" to be "+state, func() bool {
		x = s.exchange(t, location, fields...)
		if x.State != state && (x.State == "delivered" || x.State == "failed") {
			t.Fatalf("%s is %+v, want %s", location, x, state)
		}
		return x.State == state
	})
	return x
}

func TestAcceptedCallIsDeliveredAndItsResponseKept(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(func(w http.ResponseWriter, r *http.Request, h Hit) {
		w.Header().Set("Location", "/orders/7")
		w.Header().Set("X-Reference", "R-7")
		w.WriteHeader(201)
		_, _ = w.Write([]byte("made"))
	}))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	a := s.Post(t, "/sales/orders?x=1", `{"a":1}`, "X-Tenant-ID: acme", "X-Correlation-ID: corr-7", "X-Order-Key: order-7", "Prefer: respond-async, handling=strict", "Authorization: Bearer mine")
	a.WantStatus(t, 202)
	location := a.Header.Get("Location")
	if a.Header.Get("Preference-Applied") != "respond-async" || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("X-Correlation-ID") != "corr-7" || a.Header.Get("Via") != "" {
		t.Errorf("the 202 has the fields %v", a.Header)
	}
	h := gate.WaitEntered(t)
	if h.Target != "/orders?x=1" || h.Body != `{"a":1}` || h.Header.Get("X-Order-Key") != "" || h.Header.Get("X-Tenant-ID") != "" || h.Header.Get("Authorization") != "" ||
		h.Header.Get("Prefer") != "handling=strict" || h.Header.Get("X-Idempotency-Key") == "" || h.Header.Get("X-Correlation-ID") != "corr-7" {
		t.Errorf("the external system got %+v", h)
	}
	x := s.exchange(t, location, "X-Tenant-ID: acme")
	if x.State != "running" || x.RetryAfter < 1 || x.CorrelationID != "corr-7" || x.Tenant != "acme" || x.Response != location+"/response" {
		t.Errorf("under way it is %+v", x)
	}
	early := s.Get(t, x.Response, "X-Tenant-ID: acme")
	early.WantStatus(t, 202)
	if early.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After before the response is there")
	}
	s.Get(t, location).WantProblem(t, 404, "exchange-not-found")
	s.Get(t, location, "X-Tenant-ID: other").WantProblem(t, 404, "exchange-not-found")
	s.Get(t, location+"/more", "X-Tenant-ID: acme").WantProblem(t, 404, "exchange-not-found")
	s.Do(t, "DELETE", location, "", "X-Tenant-ID: acme").WantProblem(t, 405, "method-not-allowed")
	gate.Open()
	if x = s.ended(t, location, "delivered", "X-Tenant-ID: acme"); x.Status != 201 || x.Attempts != 1 || x.LetterID != "" {
		t.Errorf("delivered it is %+v", x)
	}
	final := s.Get(t, x.Response, "X-Tenant-ID: acme")
	final.WantStatus(t, 201)
	if final.Body != "made" || final.Header.Get("X-Reference") != "R-7" || final.Header.Get("Location") != "/sales/orders/7" {
		t.Errorf("the final response is %v %q", final.Header, final.Body)
	}
	up.WantCount(t, 1)
	m := s.Metrics(t)
	m.Want(t, `integration_accepted_results_total{adapter_id="sales",result="accepted"}`, 1)
	m.Want(t, `integration_accepted_results_total{adapter_id="sales",result="delivered"}`, 1)
	m.Want(t, `integration_accepted_exchanges{adapter_id="sales",state="accepted"}`, 0)
	m.Want(t, `integration_requests_total{adapter_id="sales",status="success"}`, 1)
	if table := s.MustCommand(t, "status").Stdout; !strings.Contains(table, "async   0 waiting, 0 running") {
		t.Errorf("status says\n%s", table)
	}
}

func TestReadsAreNotAccepted(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("read"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	s.Get(t, "/sales/orders", "Prefer: respond-async").WantStatus(t, 200)
}

func TestOnRequestAcceptsOnlyWhatPrefersIt(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "delivery: on_request")})
	for _, prefer := range []string{"", "wait=10", "respond-asynchronously", "x=respond-async"} {
		s.Post(t, "/sales/orders", "{}", "Prefer: "+prefer).WantStatus(t, 201)
	}
	for _, prefer := range []string{"respond-async", "wait=10, Respond-Async", "respond-async; x=1, wait=1"} {
		a := s.Post(t, "/sales/orders", "{}", "Prefer: "+prefer)
		a.WantStatus(t, 202)
		if a.Header.Get("Preference-Applied") != "respond-async" {
			t.Errorf("Prefer: %s is answered without Preference-Applied", prefer)
		}
		s.ended(t, a.Header.Get("Location"), "delivered")
	}
}

func TestTheSameKeyIsTheSameExchange(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(Status(201)))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	first := s.accepted(t, `{"a":1}`, keyOne)
	gate.WaitEntered(t)
	if again := s.accepted(t, `{"a":1}`, keyOne); again != first {
		t.Errorf("the same call is found at %s and %s", first, again)
	}
	s.Post(t, "/sales/orders", `{"a":2}`, keyOne).WantProblem(t, 422, "idempotency-key-reused")
	gate.Open()
	s.ended(t, first, "delivered")
	if again := s.accepted(t, `{"a":1}`, keyOne); again != first {
		t.Errorf("the same call is found at %s and, once delivered, at %s", first, again)
	}
	up.WantCount(t, 1)
}

// What failed frees its key, as it does for a call that is waited for.
func TestAFailedExchangeLeavesALetterAndFreesItsKey(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), Status(503), Status(503), Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, asyncHonours)})
	first := s.accepted(t, `{"a":1}`, keyOne)
	x := s.ended(t, first, "failed")
	if x.Status != 503 || x.Attempts != 3 || x.LetterID == "" || x.LetterID != x.ID {
		t.Fatalf("failed it is %+v", x)
	}
	final := s.Get(t, x.Response)
	final.WantStatus(t, 503)
	if final.LetterID() != x.LetterID || !strings.HasPrefix(final.Body, "upstream says") {
		t.Errorf("the final response is %v %q", final.Header, final.Body)
	}
	if l := s.Letter(t, x.LetterID); l.Error.Type != "server_error" || l.Metadata.IdempotencyKey != "key-1" {
		t.Errorf("the letter says %+v %+v", l.Error, l.Metadata)
	}
	again := s.accepted(t, `{"a":1}`, keyOne)
	if again == first {
		t.Errorf("a failed exchange keeps its key")
	}
	s.ended(t, again, "delivered")
	if l := s.Letter(t, x.LetterID); l.State != "resolved" {
		t.Errorf("the letter is %s after its key succeeded, want resolved", l.State)
	}
}

func TestExchangesOfOneOrderKeyAreDeliveredInOrder(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(Status(201)))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	var locations []string
	for i := range 20 {
		locations = append(locations, s.accepted(t, fmt.Sprint(i), "X-Order-Key: a", "X-Tenant-ID: t"))
	}
	if first := gate.WaitEntered(t); first.Body != "0" {
		t.Fatalf("%q is sent first", first.Body)
	}
	other := s.accepted(t, "other tenant", "X-Order-Key: a", "X-Tenant-ID: u")
	free := s.accepted(t, "no order key", "X-Tenant-ID: t")
	for range 2 { // neither waits for those of order key a
		if h := gate.WaitEntered(t); h.Body != "other tenant" && h.Body != "no order key" {
			t.Fatalf("%q overtakes", h.Body)
		}
	}
	up.WantCount(t, 3)
	gate.Open()
	for _, l := range append(locations, free) {
		s.ended(t, l, "delivered", "X-Tenant-ID: t")
	}
	s.ended(t, other, "delivered", "X-Tenant-ID: u")
	next := 0
	for _, h := range up.WantCount(t, 22) {
		if h.Body == fmt.Sprint(next) {
			next++
		}
	}
	if next != 20 {
		t.Errorf("the order broke at %d: %v", next, up.Hits())
	}
}

// Only what is on disk is answered 202: every exchange that was accepted before a kill is delivered after it.
func TestNoAcceptedExchangeIsLostInCrashes(t *testing.T) {
	t.Parallel()
	seen := &letterBook{ids: map[string]bool{}}
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		seen.mu.Lock()
		seen.ids[h.Header.Get("X-Idempotency-Key")] = true
		seen.mu.Unlock()
		w.WriteHeader(201)
	})
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, asyncHonours)})
	var mu sync.Mutex
	told := map[string]string{} // key → Location
	for round := range 8 {
		stop, before := make(chan struct{}), len(told)
		var load sync.WaitGroup
		for w := range 8 {
			load.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					key := fmt.Sprintf("k-%d-%d-%d", round, w, i)
					a, err := s.Try(t.Context(), "POST", "/sales/orders", `{"a":1}`, "X-Idempotency-Key: "+key)
					if err != nil {
						return
					}
					mu.Lock()
					told[key] = a.Header.Get("Location")
					mu.Unlock()
				}
			})
		}
		Eventually(t, "some to be accepted", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) > before+30 })
		s.Kill9()
		close(stop)
		load.Wait()
		s.Restart()
	}
	for key, location := range told {
		if location == "" {
			t.Fatalf("%s was not accepted", key)
		}
		s.ended(t, location, "delivered")
		seen.mu.Lock()
		if !seen.ids[key] {
			t.Errorf("%s is delivered and never came", key)
		}
		seen.mu.Unlock()
	}
	if letters := s.Letters(t); len(letters) != 0 {
		t.Errorf("%d letters of a provider that honours keys", len(letters))
	}
	t.Logf("%d accepted over 8 kills, %d requests", len(told), up.Count())
}

// asyncCrash accepts one exchange, kills the sidecar while the provider works on it, and starts it again.
func asyncCrash(t *testing.T, policy string, fields ...string) (*Sidecar, *Upstream, string) {
	t.Helper()
	return asyncCrashWith(t, "", policy, func() {}, fields...)
}

// asyncCrashWith is asyncCrash with more keys of the document, and what happens while the sidecar is gone.
func asyncCrashWith(t *testing.T, top, policy string, meanwhile func(), fields ...string) (*Sidecar, *Upstream, string) {
	t.Helper()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(numbered), numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, policy), Top: top})
	location := s.accepted(t, `{"a":1}`, fields...)
	gate.WaitEntered(t)
	s.Kill9()
	meanwhile()
	s.Restart()
	return s, up, location
}

func TestCrashInMidDeliveryNeverActsTwice(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{"own key": {keyOne}, "fresh key": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, up, location := asyncCrash(t, async, fields...)
			x := s.ended(t, location, "failed")
			up.WantCount(t, 1)
			if x.Problem == nil || x.Problem.Type != problemPrefix+"outcome-unknown" || x.LetterID == "" || x.Status != 409 {
				t.Fatalf("it is %+v", x)
			}
			l := s.Letter(t, x.LetterID)
			if l.Error.Type != "outcome_unknown" || string(l.OriginalMessage.Body) != `{"a":1}` {
				t.Errorf("letter type %q body %q", l.Error.Type, l.OriginalMessage.Body)
			}
			s.Get(t, x.Response).WantProblem(t, 409, "outcome-unknown")
			if fields != nil {
				if again := s.accepted(t, `{"a":1}`, fields...); again != location {
					t.Errorf("the same key is accepted anew at %s though its outcome is unknown", again)
				}
			}
		})
	}
}

func TestCrashInMidDeliveryIsSentAgainToAnHonouringProvider(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{"own key": {keyOne}, "fresh key": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, up, location := asyncCrash(t, asyncHonours, fields...)
			s.ended(t, location, "delivered")
			hits := up.WantCount(t, 2)
			if a, b := hits[0].Header.Get("X-Idempotency-Key"), hits[1].Header.Get("X-Idempotency-Key"); a != b || a == "" {
				t.Errorf("sent with the keys %q and %q", a, b)
			}
		})
	}
}

// The keys are in Redis, which may have forgotten the claim of the process that died.
func TestCrashInMidDeliveryWithRedisNeverActsTwice(t *testing.T) {
	t.Parallel()
	for name, forgets := range map[string]bool{"the claim is there": false, "the claim is forgotten": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := miniredis.RunT(t)
			top := "redis: { addresses: [" + redis.Addr() + "] }"
			s, up, location := asyncCrashWith(t, top, async, func() {
				if forgets {
					redis.FlushAll()
				}
			})
			if x := s.ended(t, location, "failed"); x.Problem == nil || x.Problem.Type != problemPrefix+"outcome-unknown" || x.LetterID == "" {
				t.Errorf("it is %+v", x)
			}
			up.WantCount(t, 1)
		})
	}
}

func TestWhatTheBreakerStopsWaitsForIt(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	s.MustCommand(t, "breaker", "open", "sales")
	location := s.accepted(t, "{}")
	Eventually(t, "a try to be put back", func() bool { return strings.Contains(s.Log.String(), `"put_back":true`) })
	if x := s.exchange(t, location); x.State != "accepted" || x.Attempts != 0 {
		t.Errorf("behind an open breaker it is %+v", x)
	}
	up.WantCount(t, 0)
	s.Metrics(t).Want(t, `integration_accepted_exchanges{adapter_id="sales",state="accepted"}`, 1)
	s.MustCommand(t, "breaker", "close", "sales") // long before the minute that the exchange was put back for
	s.ended(t, location, "delivered")
	up.WantCount(t, 1)
	if letters := s.Letters(t); len(letters) != 0 {
		t.Errorf("%d letters", len(letters))
	}
}

func TestAcceptedExchangesWaitForTheirTokens(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async, "rate_limit: { capacity: 1, refill_rate: 20 }")})
	start := time.Now()
	var locations []string
	for range 20 {
		locations = append(locations, s.accepted(t, "{}"))
	}
	for _, l := range locations {
		s.ended(t, l, "delivered")
	}
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("20 exchanges were delivered within %s, want 19 tokens of 20 a second", took)
	}
}

func TestWhatIsTooOldIsGivenUpAndItsEndExpires(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "delivery: async\nidempotency: { ttl: 3s }", "breaker: { reset_timeout: 1s }")})
	s.MustCommand(t, "breaker", "open", "sales")
	location := s.accepted(t, "{}")
	x := s.ended(t, location, "failed")
	up.WantCount(t, 0)
	if x.Problem == nil || x.Problem.Type != problemPrefix+"total-timeout" || !strings.Contains(x.Problem.Detail, "circuit-open") || x.LetterID == "" {
		t.Fatalf("it is %+v, %+v", x, x.Problem)
	}
	if l := s.Letter(t, x.LetterID); l.Error.Type != "timeout" {
		t.Errorf("letter type %q", l.Error.Type)
	}
	Eventually(t, "its end to expire", func() bool { return s.Get(t, location).Status == 404 })
	s.Get(t, location).WantProblem(t, 404, "exchange-not-found")
}

func TestNothingIsAcceptedWithoutRoom(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(201))
	s := Start(t, Setup{DLQ: "max_bytes: 1MiB", Adapters: Adapter("sales", up.URL, async)})
	s.MustCommand(t, "breaker", "open", "sales")
	body := strings.Repeat("x", 100<<10)
	var locations []string
	for i := range 20 {
		a := s.Post(t, "/sales/orders", body, fmt.Sprint("X-Idempotency-Key: k", i))
		if a.Status == 202 {
			locations = append(locations, a.Header.Get("Location"))
			continue
		}
		p := a.WantProblem(t, 503, "spool-unavailable")
		if a.Header.Get("Retry-After") == "" || !p.Retryable || p.Attempts != 0 {
			t.Errorf("the refusal is %+v, Retry-After %q", p, a.Header.Get("Retry-After"))
		}
	}
	if len(locations) < 8 || len(locations) > 10 {
		t.Errorf("%d calls of 100 KiB accepted with max_bytes of 1 MiB", len(locations))
	}
	up.WantCount(t, 0)
	s.Kill9()
	s.Restart()
	for _, l := range locations {
		s.ended(t, l, "delivered")
	}
	s.accepted(t, body) // what has ended makes way
	if info, err := os.Stat(filepath.Join(s.SpoolDir(), "exchanges.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("exchanges.db: %v %v", info, err)
	}
}

// A spool that is full loses nothing of what was accepted: its letter waits for room.
func TestAnAcceptedExchangeWaitsForRoomForItsLetter(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(500))
	s := Start(t, Setup{DLQ: "max_bytes: 1MiB", Adapters: Adapter("erp", up.URL, "retry: off") + Adapter("sales", up.URL, async, "retry: off")})
	body := strings.Repeat("x", 100<<10)
	var letter string
	Eventually(t, "the spool to be full", func() bool {
		a := s.Post(t, "/erp/orders", body)
		if a.LetterID() != "" {
			letter = a.LetterID()
		}
		return a.Header.Get("X-Dead-Letter") == "unavailable"
	})
	location := s.accepted(t, body)
	Eventually(t, "the letter not to be taken", func() bool { return strings.Contains(s.Log.String(), "could not be kept and is tried again") })
	if x := s.exchange(t, location); x.State != "running" {
		t.Errorf("without a letter it is %+v", x)
	}
	s.MustCommand(t, "dlq", "discard", letter)
	x := s.ended(t, location, "failed")
	if l := s.Letter(t, x.LetterID); x.Status != 500 || l.Error.Type != "server_error" || string(l.OriginalMessage.Body) != body {
		t.Errorf("it is %+v, the letter's error %+v", x, l.Error)
	}
}

func TestDrainFinishesDeliveriesAndKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(Status(201)))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, async)})
	first := s.accepted(t, "1", "X-Order-Key: a")
	second := s.accepted(t, "2", "X-Order-Key: a")
	gate.WaitEntered(t)
	s.Term()
	Eventually(t, "/readyz to say no", func() bool { return s.readyStatus() == http.StatusServiceUnavailable })
	gate.Open()
	if code := s.Wait(patience); code != 0 {
		t.Errorf("exit code %d after draining, want 0", code)
	}
	up.WantCount(t, 1)
	s.Restart()
	s.ended(t, first, "delivered")
	s.ended(t, second, "delivered")
	up.WantCount(t, 2)
}

// A wait for a retry does not outlast the beginning of a drain; the call is made after the next start.
func TestDrainPutsBackWhatWaitsForARetry(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), Status(201))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, asyncHonours, "retry: { initial_delay: 15s, max_delay: 15s }")})
	location := s.accepted(t, "{}")
	Eventually(t, "the first attempt", func() bool { return up.Count() == 1 })
	s.Term()
	if code := s.Wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d after draining, want 0", code)
	}
	s.Restart()
	if x := s.ended(t, location, "delivered"); x.Attempts != 2 {
		t.Errorf("delivered it is %+v, want 2 attempts", x)
	}
	if letters := s.Letters(t); len(letters) != 0 {
		t.Errorf("%d letters", len(letters))
	}
}
