//go:build e2e

package servers

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// brokenSync lets every fdatasync of a process fail with EIO, as of a disk that is going bad, until the returned function
// is called.
func brokenSync(t *testing.T, pid int) (mend func()) {
	t.Helper()
	said := new(e2e.Output)
	cmd := exec.Command(program(t, "strace"), "-f", "-q", "-p", fmt.Sprint(pid), "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO")
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	ended := false
	mend = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(os.Interrupt) // it lets go of the process
			_ = cmd.Wait()
		}
	}
	t.Cleanup(mend)
	return mend
}

func TestADiskThatDoesNotSyncIsToldToTheApplicationEachTime(t *testing.T) {
	t.Parallel()
	bad, good := e2e.NewUpstream(t, e2e.Status(500)), e2e.NewUpstream(t, e2e.OK("ok"))
	s := e2e.Start(t, e2e.Setup{Adapters: e2e.Adapter("sales", bad.URL, "retry: off") + e2e.Adapter("erp", good.URL, "retry: off", "idempotency: { store: fail_closed }")})
	told := map[string]bool{}
	n := 0
	fail := func() e2e.Answer {
		n++
		a := s.Post(t, "/sales/orders", "{}", fmt.Sprint("X-Idempotency-Key: key-", n))
		a.WantStatus(t, 500)
		if a.LetterID() != "" {
			told[a.LetterID()] = true
		} else if a.Header.Get("X-Dead-Letter") != "unavailable" {
			t.Fatalf("told neither of a letter nor of its loss: %v", a.Header)
		}
		return a
	}
	for range 20 {
		fail()
	}
	kept := len(told)
	mend := brokenSync(t, s.PID())
	e2e.Eventually(t, "the application to be told that letters are lost", func() bool { return fail().LetterID() == "" })
	for range 20 {
		if a := fail(); a.LetterID() != "" {
			t.Errorf("told of letter %s, which is not on disk", a.LetterID())
		}
	}
	s.Post(t, "/erp/orders", "{}", "X-Idempotency-Key: k").WantProblem(t, 503, "idempotency-store-unavailable")
	s.Get(t, "/erp/orders").WantStatus(t, 200)
	if body := s.Get(t, "http://"+s.Probes+"/health").Body; !strings.Contains(body, `"spool":{"status":"fail"`) {
		t.Errorf("the health says %s", body)
	}
	mend()
	e2e.Eventually(t, "letters to be kept again", func() bool { return fail().LetterID() != "" })
	if kept != 20 {
		t.Errorf("%d letters were kept before, want 20", kept)
	}
	wantLetters(t, s, told)
	s.Kill9()
	s.Restart()
	wantLetters(t, s, told)
	s.Post(t, "/erp/orders", "{}", "X-Idempotency-Key: k2").WantStatus(t, 200)
}
