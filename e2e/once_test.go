package e2e

import (
	"net/http"
	"testing"
)

// A provider that does not honour keys may have acted on a POST it read, so it must never see it twice: with or
// without a body or a key, and also on a reused connection, where HTTP libraries like to repeat by themselves.
func TestPostReachesANonHonouringProviderOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		key  bool
		warm bool
		last Reply
	}{
		"body":                      {`{"a":1}`, false, false, Drop},
		"body and key":              {`{"a":1}`, true, false, Drop},
		"body and key, reused":      {`{"a":1}`, true, true, Drop},
		"no body, key, reused":      {"", true, true, Drop},
		"no body, no key, reused":   {"", false, true, Drop},
		"no body, key, reset":       {"", true, true, Reset},
		"body, no key, reset":       {`{"a":1}`, false, false, Reset},
		"body and key, half answer": {`{"a":1}`, true, true, halfAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
				if h.Method == http.MethodGet {
					OK("warm")(w, r, h)
					return
				}
				c.last(w, r, h)
			})
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
			gets := 0
			if c.warm {
				s.Get(t, "/sales/warm").WantStatus(t, 200)
				gets = 1
			}
			var fields []string
			if c.key {
				fields = append(fields, "X-Idempotency-Key: key-1")
			}
			a := s.Post(t, "/sales/orders", c.body, fields...)
			up.WantCount(t, gets+1)
			if a.Status != 502 && a.Status != 504 || a.Kind() == "" {
				t.Fatalf("status %d kind %q, want a 502 or 504 problem", a.Status, a.Kind())
			}
			p := a.WantProblem(t, a.Status, a.Kind())
			if p.LetterID == "" || p.LetterID != a.LetterID() {
				t.Fatalf("letter %q in the problem, %q in the field; want the same one", p.LetterID, a.LetterID())
			}
			if p.Attempts != 1 || p.Retryable {
				t.Errorf("attempts %d retryable %v, want 1 and false: another try could act twice", p.Attempts, p.Retryable)
			}
			if l := s.Letter(t, p.LetterID); l.Error.Type != "outcome_unknown" || l.Metadata.Attempts != 1 {
				t.Errorf("letter says %q after %d attempts, want outcome_unknown after 1", l.Error.Type, l.Metadata.Attempts)
			}
			s.Metrics(t).Want(t, `integration_errors_total{adapter_id="sales",error_type="outcome_unknown"}`, 1)
		})
	}
}

// halfAnswer announces more than it sends and closes.
func halfAnswer(w http.ResponseWriter, _ *http.Request, _ Hit) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":")
	_ = rw.Flush()
	_ = c.Close()
}
