package e2e

import (
	"strings"
	"testing"
)

// logged makes a call and reports whether there is a line of it: the line of an exchange is written before its answer.
func (s *Sidecar) logged(t *testing.T, target, correlation string) bool {
	t.Helper()
	s.Get(t, target, "X-Correlation-ID: "+correlation)
	s.MustCommand(t, "status") // what was written before it is read by then
	return strings.Contains(s.Log.String(), `"`+correlation+`"`)
}

func TestTheLogLevelChangesForAWhile(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL)})
	if !s.logged(t, "/sales/a", "at-info") {
		t.Error("a call is not logged at level info")
	}
	if r := s.MustCommand(t, "log-level", "error", "--for", "1h"); !strings.HasPrefix(r.Stdout, "log level error until ") {
		t.Errorf("the command says %s", r.Stdout)
	}
	if s.logged(t, "/sales/a", "at-error") {
		t.Error("a success is logged at level error")
	}
	if r := s.MustCommand(t, "log-level", "configured"); r.Stdout != "log level info\n" || !s.logged(t, "/sales/a", "again-at-info") {
		t.Errorf("the configured level is not back: %s", r.Stdout)
	}
	if n := strings.Count(s.Log.String(), `"action":"log level"`); n != 2 {
		t.Errorf("%d audit lines, want 2", n)
	}
}

func TestSuccessesAreLoggedByShareAndFailuresAlways(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, OK("ok"))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL), Telemetry: "log_success_ratio: 0,"})
	if s.logged(t, "/sales/a", "a-success") {
		t.Error("a success is logged")
	}
	if !s.logged(t, "/nobody/a", "a-failure") {
		t.Error("a failure is not logged")
	}
	more := s.Setup
	more.Telemetry = ""
	s.Write(more)
	s.Hangup()
	Eventually(t, "successes to be logged", func() bool { return s.logged(t, "/sales/a", "another-success") })
}
