package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
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
	var a Answer
	Eventually(t, "an answer about "+location, func() bool { // 503 while Redis is slow: ask again, as it says
		a = s.Get(t, location, fields...)
		return a.Status != 503
	})
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
