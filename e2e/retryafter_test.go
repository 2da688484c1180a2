package e2e

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterSecondsAreObeyed(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]Reply{"503": Status(503, "Retry-After: 1"), "429": Status(429, "Retry-After: 1")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, first, OK("ok"))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
			s.Get(t, "/sales/a").WantStatus(t, 200)
			hits := up.WantCount(t, 2)
			if gap := hits[1].At.Sub(hits[0].At); gap < time.Second || gap > 6*time.Second {
				t.Errorf("tried again after %s, want the 1s the provider asked for, never less", gap)
			}
		})
	}
}

func TestRetryAfterDateIsObeyed(t *testing.T) {
	t.Parallel()
	var at time.Time
	up := NewUpstream(t, func(w http.ResponseWriter, r *http.Request, h Hit) {
		at = time.Now().Add(2 * time.Second).Truncate(time.Second)
		Status(503, "Retry-After: "+at.UTC().Format(http.TimeFormat))(w, r, h)
	}, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	s.Get(t, "/sales/a").WantStatus(t, 200)
	hits := up.WantCount(t, 2)
	if early := at.Sub(hits[1].At); early > 0 {
		t.Errorf("tried again %s before the date the provider named", early)
	}
}

func TestRetryAfterBeyondTheDeadlineEndsTheRetries(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"429": 429, "503": 503} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := NewUpstream(t, Status(status, "Retry-After: 30"), OK("surplus"))
			s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 5s, total: 10s }")})
			a := s.Get(t, "/sales/a")
			a.WantStatus(t, status)
			up.WantCount(t, 1)
			if a.Header.Get("Retry-After") != "30" || a.Kind() != "" {
				t.Errorf("Retry-After %q kind %q, want the provider's own response", a.Header.Get("Retry-After"), a.Kind())
			}
			if a.Took > 5*time.Second {
				t.Errorf("answered after %s, want at once: waiting could not help", a.Took)
			}
		})
	}
}
