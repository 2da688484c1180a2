package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Two sidecars hold the same letter, as after reading it from a sink. The provider does not honour keys.
func TestALetterIsReplayedByOneSidecar(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, Status(503), gate.Hold(OK("done")))
	redis := miniredis.RunT(t)
	a := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off"), Top: "redis: { addresses: [" + redis.Addr() + "] }"})
	id := a.Post(t, "/sales/orders", "{}").LetterID()
	b := Prepare(t, a.Setup)
	a.Term()
	a.Wait(patience)
	must(t, os.CopyFS(b.SpoolDir(), os.DirFS(a.SpoolDir())))
	b.Write(a.Setup)
	a.Restart()
	b.Restart()

	first := a.begin(t, "dlq", "replay", id)
	gate.WaitEntered(t)
	if r := b.Command(t, "dlq", "replay", id, "--dry-run"); r.Code != 1 || !strings.Contains(r.Stdout, "another sidecar is replaying it") {
		t.Errorf("dry run with code %d: %s", r.Code, r.Stdout)
	}
	if r := b.Command(t, "dlq", "replay", id, "--force"); r.Code != 1 || !strings.Contains(r.Stdout, "another sidecar is replaying it") {
		t.Errorf("code %d: %s", r.Code, r.Stdout)
	}
	gate.Open()
	if r := first.wait(); r.Code != 0 {
		t.Errorf("code %d: %s", r.Code, r.Stdout)
	}
	if r := b.MustCommand(t, "dlq", "replay", id, "--dry-run"); !strings.Contains(r.Stdout, "1 letter: 1 would-resolve") {
		t.Errorf("dry run after the replay: %s", r.Stdout)
	}
	if r := b.MustCommand(t, "dlq", "replay", id); !strings.Contains(r.Stdout, "another sidecar has replayed it") {
		t.Errorf("after the replay: %s", r.Stdout)
	}
	if l := b.Letter(t, id); l.State != "resolved" {
		t.Errorf("state %s in the other sidecar, want resolved", l.State)
	}
	up.WantCount(t, 2)
}

func TestWithoutTheSharedRedisAReplayNeedsForce(t *testing.T) {
	t.Parallel()
	up := NewUpstream(t, Status(503), OK("done"))
	redis := miniredis.RunT(t)
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off"), Top: "redis: { addresses: [" + redis.Addr() + "] }"})
	id := s.Post(t, "/sales/orders", "{}").LetterID()
	redis.Close()
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 || !strings.Contains(r.Stdout, "redis does not answer") {
		t.Errorf("code %d: %s", r.Code, r.Stdout)
	}
	up.WantCount(t, 1)
	s.MustCommand(t, "dlq", "replay", id, "--force")
	up.WantCount(t, 2)
}

// A replay that the process did not survive may have taken effect, as the call before it may.
func TestAReplayCutOffByACrashIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	gate := NewGate(t)
	up := NewUpstream(t, Status(503), gate.Hold(OK("done")))
	s := Start(t, Setup{Adapters: Adapter("sales", up.URL, "retry: off")})
	id := s.Post(t, "/sales/orders", "{}").LetterID()
	replay := s.begin(t, "dlq", "replay", id)
	gate.WaitEntered(t)
	s.Kill9()
	replay.wait()
	s.Restart()
	if r := s.Command(t, "dlq", "replay", id); r.Code != 1 || !strings.Contains(r.Stdout, "outcome is unknown") {
		t.Errorf("code %d: %s", r.Code, r.Stdout)
	}
	up.WantCount(t, 2)
}
