package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("finished")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	done := make(chan Answer, 4)
	for i := range 4 {
		go func() {
			a, err := s.Try(t.Context(), http.MethodPost, "/sales/a", fmt.Sprint(i))
			if err != nil {
				t.Errorf("a call in flight was cut off: %v", err)
			}
			done <- a
		}()
		gate.WaitEntered(t)
	}
	s.Term()
	Eventually(t, "/readyz to say no", func() bool { return s.readyStatus() == http.StatusServiceUnavailable })
	s.Get(t, "http://"+s.Probes+"/livez").WantStatus(t, 200)
	if r := s.Command(t, "health"); r.Code != 1 {
		t.Errorf("sidecar health ends with code %d while draining, want 1", r.Code)
	}
	if a, err := s.Try(t.Context(), http.MethodGet, "/sales/new", ""); err == nil && a.Kind() != "draining" {
		t.Errorf("a new call while draining was answered %d %q, want a refused connection or 503 draining", a.Status, a.Body)
	}
	gate.Open()
	for range 4 {
		if a := Receive(t, done, "a call in flight"); a.Status != 200 || a.Body != "finished" {
			t.Errorf("a call in flight got %d %q, want its answer", a.Status, a.Body)
		}
	}
	if code := s.Wait(patience); code != 0 {
		t.Errorf("exit code %d after draining, want 0", code)
	}
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("late")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "timeout: { attempt: 60s, total: 120s }")})
	go func() { _, _ = s.Try(t.Context(), http.MethodGet, "/sales/a", "") }()
	gate.WaitEntered(t)
	s.Term()
	Eventually(t, "/readyz to say no", func() bool { return s.readyStatus() == http.StatusServiceUnavailable })
	s.Term()
	s.Wait(5 * time.Second) // the drain would take 25
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, gate.Hold(OK("late")))
	s := Start(t, Setup{Top: "drain: 500ms", Adapters: Adapter("sales", up.URL, "timeout: { attempt: 60s, total: 120s }")})
	go func() { _, _ = s.Try(t.Context(), http.MethodPost, "/sales/a", "{}", keyOne) }()
	gate.WaitEntered(t)
	start := time.Now()
	s.Term()
	s.Wait(10 * time.Second)
	if took := time.Since(start); took < 450*time.Millisecond {
		t.Errorf("gave up on a call in flight after %s, want the 500ms of drain", took)
	}
	s.Restart()
	p := s.Post(t, "/sales/a", "{}", keyOne).WantProblem(t, 409, "outcome-unknown")
	if l := s.Letter(t, p.LetterID); l.Error.Type != "outcome_unknown" {
		t.Errorf("letter type %q of a write that the drain cut off, want outcome_unknown", l.Error.Type)
	}
	up.WantCount(t, 1)
}

func TestIdleSidecarEndsAtOnce(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	s.Get(t, "/sales/a").WantStatus(t, 200) // leaves an idle connection on either side
	DialRaw(t, s.Proxy)                     // and one that never sends a byte
	s.Term()
	if code := s.Wait(5 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if r := s.Command(t, "health"); r.Code != 3 {
		t.Errorf("sidecar health ends with code %d when nothing runs, want 3", r.Code)
	}
}

func TestAddressInUseIsSaid(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	other := Prepare(t, Setup{Proxy: s.Proxy, Adapters: Adapter("sales", up.URL)})
	other.Write(other.Setup)
	other.launch()
	if code := other.Wait(patience); code != 1 || !containsAll(other.Log.String(), s.Proxy) {
		t.Errorf("exit code %d, want 1 and a message with the address:\n%s", code, other.Log)
	}
}
