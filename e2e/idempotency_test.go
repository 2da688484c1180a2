package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

const keyOne = "X-Idempotency-Key: key-1"

// numbered answers with the number of the hit, so that two executions cannot look alike.
func numbered(w http.ResponseWriter, _ *http.Request, h Hit) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("X-Many", "one")
	w.Header().Add("X-Many", "two")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"order":%d}`, h.N)
}

func TestOutcomeIsReplayed(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	for _, method := range []string{"POST", "PATCH", "PUT"} {
		before := up.Count()
		first := s.Do(t, method, "/sales/orders", `{"a":1}`, keyOne, "X-Correlation-ID: first")
		second := s.Do(t, method, "/sales/orders", `{"a":1}`, keyOne, "X-Correlation-ID: second")
		up.WantCount(t, before+1)
		if first.Header.Get("Idempotency-Replayed") != "" || second.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: Idempotency-Replayed %q then %q, want none and true", method, first.Header.Get("Idempotency-Replayed"), second.Header.Get("Idempotency-Replayed"))
		}
		if second.Status != 201 || second.Body != first.Body {
			t.Errorf("%s: replay gave %d %q, want 201 %q", method, second.Status, second.Body, first.Body)
		}
		if fmt.Sprint(second.Header.Values("X-Many")) != "[one two]" || second.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: replay lost fields: %v", method, second.Header)
		}
		if second.Header.Get("X-Correlation-ID") != "second" {
			t.Errorf("%s: replay carries the correlation id %q, want its own", method, second.Header.Get("X-Correlation-ID"))
		}
	}
}

func TestReplaySurvivesRestart(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	first := s.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	s.Term()
	s.Wait(patience)
	s.Restart()
	again := s.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	s.Kill9()
	s.Restart()
	third := s.Post(t, "/sales/orders", `{"a":1}`, keyOne)
	up.WantCount(t, 1)
	for _, a := range []Answer{again, third} {
		if a.Status != 201 || a.Body != first.Body || a.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("after a restart: %d %q replayed %q, want the first answer", a.Status, a.Body, a.Header.Get("Idempotency-Replayed"))
		}
	}
}

func TestKeyIsSentOnOrMade(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL) +
		Adapter("erp", up.URL, "idempotency: { header: Idempotency-Key, format: structured }")})
	s.Post(t, "/sales/orders", "{}", keyOne).WantStatus(t, 201)
	if got := up.Last(t).Header.Values("X-Idempotency-Key"); len(got) != 1 || got[0] != "key-1" {
		t.Errorf("key at the upstream %q, want the application's key-1", got)
	}
	made := map[string]bool{}
	for range 2 {
		s.Post(t, "/sales/orders", "{}").WantStatus(t, 201)
		key := up.Last(t).Header.Get("X-Idempotency-Key")
		if key == "" || made[key] {
			t.Errorf("key %q for a call without one, want a fresh one", key)
		}
		made[key] = true
	}
	s.Post(t, "/erp/orders", "{}", "Idempotency-Key: key-2").WantStatus(t, 201)
	if got := up.Last(t).Header.Get("Idempotency-Key"); got != `"key-2"` {
		t.Errorf("structured key at the upstream %s, want it quoted (RFC 9651 section 3.3.3)", got)
	}
}

func TestSameKeyWithAnotherBodyIs422(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	s.Post(t, "/sales/orders", `{"a":1}`, keyOne).WantStatus(t, 201)
	p := s.Post(t, "/sales/orders", `{"a":2}`, keyOne).WantProblem(t, 422, "idempotency-key-reused")
	if p.Retryable {
		t.Errorf("a reused key is said to be retryable")
	}
	up.WantCount(t, 1)
}

func TestScopeOfAKey(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL) + Adapter("erp", up.URL)})
	calls := []struct{ method, target, tenant string }{
		{"POST", "/sales/orders", "acme"}, {"POST", "/sales/orders", "globex"}, {"POST", "/sales/orders", ""},
		{"PUT", "/sales/orders", "acme"}, {"POST", "/sales/other", "acme"}, {"POST", "/erp/orders", "acme"},
	}
	for round := range 2 {
		for _, c := range calls {
			a := s.Do(t, c.method, c.target, "{}", keyOne, "X-Tenant-ID: "+c.tenant)
			a.WantStatus(t, 201)
			if replayed := a.Header.Get("Idempotency-Replayed") == "true"; replayed != (round == 1) {
				t.Errorf("round %d %v: replayed %v", round, c, replayed)
			}
		}
		up.WantCount(t, len(calls))
	}
}

func TestKeyFromTheBody(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, `operations:
  - match: { method: POST, path: /orders/intake }
    idempotency: { key_from: [tenant, "body:/order/id"], required: true }`)})
	post := func(target, body, tenant string) Answer { return s.Post(t, target, body, "X-Tenant-ID: "+tenant) }
	first := post("/sales/orders/intake", `{"order":{"id":"o-1"}}`, "acme")
	first.WantStatus(t, 201)
	if again := post("/sales/orders/intake", `{"order":{"id":"o-1"}}`, "acme"); again.Body != first.Body || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same order again: %d %q, want the first answer", again.Status, again.Body)
	}
	post("/sales/orders/intake", `{"order":{"id":"o-1"},"at":2}`, "acme").WantProblem(t, 422, "idempotency-key-reused")
	up.WantCount(t, 1)
	post("/sales/orders/intake", `{"order":{"id":"o-2"}}`, "acme").WantStatus(t, 201)
	post("/sales/orders/intake", `{"order":{"id":"o-1"}}`, "globex").WantStatus(t, 201)
	keys := map[string]bool{}
	for _, h := range up.WantCount(t, 3) {
		keys[h.Header.Get("X-Idempotency-Key")] = true
	}
	if len(keys) != 3 || keys[""] {
		t.Errorf("keys %v at the upstream, want three different ones", keys)
	}
	post("/sales/orders/intake", `{"order":{}}`, "acme").WantProblem(t, 400, "idempotency-key-required")
	post("/sales/orders/other", `{"order":{"id":"o-1"}}`, "acme").WantStatus(t, 201) // another operation
	up.WantCount(t, 4)
}

func TestRequiredKey(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, numbered)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "idempotency: { required: true }")})
	s.Post(t, "/sales/orders", "{}").WantProblem(t, 400, "idempotency-key-required")
	up.WantCount(t, 0)
	s.Post(t, "/sales/orders", "{}", keyOne).WantStatus(t, 201)
	s.Get(t, "/sales/orders").WantStatus(t, 201) // a read needs none
}

func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	for status, stored := range map[int]bool{200: true, 202: true, 400: true, 404: true, 422: true,
		408: false, 409: false, 425: false, 429: false, 500: false, 503: false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, Status(status), Status(201))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off")})
			s.Post(t, "/sales/orders", "{}", keyOne).WantStatus(t, status)
			second := s.Post(t, "/sales/orders", "{}", keyOne)
			third := s.Post(t, "/sales/orders", "{}", keyOne)
			if stored {
				up.WantCount(t, 1)
				second.WantStatus(t, status)
				return
			}
			up.WantCount(t, 2)
			second.WantStatus(t, 201)
			if third.Status != 201 || third.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("third call: %d, want the replay of the second", third.Status)
			}
		})
	}
}
