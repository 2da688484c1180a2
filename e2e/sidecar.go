package e2e

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that should happen soon, on a machine that may be busy.
const patience = 20 * time.Second

// Sidecar is one sidecar, running or stopped; its folder and its addresses outlive its process.
type Sidecar struct {
	Dir        string
	ConfigFile string
	Proxy      string // address of the proxy listener
	Admin      string // address of the admin listener
	Probes     string // address of the probes listener
	Setup      Setup
	Log        *Output // stdout and stderr of every process so far

	t      testing.TB
	client *http.Client
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// Output collects what a process writes.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all output so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Tail is the last n bytes of the output.
func (o *Output) Tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}

// Start writes the configuration, starts a sidecar and returns when it is ready. The process ends with the test.
func Start(t testing.TB, c Setup) *Sidecar {
	t.Helper()
	s := Prepare(t, c)
	s.Write(c)
	s.launch()
	s.WaitReady()
	return s
}

// Prepare chooses folder and addresses, and starts nothing.
func Prepare(t testing.TB, c Setup) *Sidecar {
	t.Helper()
	s := &Sidecar{Dir: c.Dir, ConfigFile: c.Config, Proxy: c.Proxy, Admin: FreeAddr(t), Probes: FreeAddr(t),
		Setup: c, Log: new(Output), t: t}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	if s.Proxy == "" {
		s.Proxy = FreeAddr(t)
	}
	if s.ConfigFile == "" {
		s.ConfigFile = filepath.Join(s.Dir, "sidecar.yaml")
	}
	s.client = newClient()
	t.Cleanup(s.finish)
	return s
}

// SpoolDir is the folder of the letters.
func (s *Sidecar) SpoolDir() string { return filepath.Join(s.Dir, "dlq") }

// Write replaces the configuration file at once, by renaming a new one over it.
func (s *Sidecar) Write(c Setup) {
	s.t.Helper()
	s.Setup = c
	s.WriteText(s.document(c))
}

// WriteText replaces the configuration file by text.
func (s *Sidecar) WriteText(text string) {
	s.t.Helper()
	next := s.ConfigFile + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		s.t.Fatalf("write the configuration: %v", err)
	}
	if err := os.Rename(next, s.ConfigFile); err != nil {
		s.t.Fatalf("write the configuration: %v", err)
	}
}

// launch starts the process.
func (s *Sidecar) launch() {
	s.t.Helper()
	argv := s.Setup.Command
	if len(argv) == 0 {
		argv = []string{binary(s.t), "run", "--config", s.ConfigFile}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, s.environment(), s.Log, s.Log
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start the sidecar: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the code is read from ProcessState
		close(exited)
	}()
	s.cmd, s.exited = cmd, exited
}

// environment is what the process sees: nothing of the test's own but the path.
func (s *Sidecar) environment() []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir}, s.Setup.Env...)
}

// WaitReady returns when /readyz says so, and fails the test when the process ends first.
func (s *Sidecar) WaitReady() {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for s.readyStatus() != http.StatusOK {
		select {
		case <-s.exited:
			s.t.Fatalf("the sidecar ended with code %d before it was ready:\n%s", s.cmd.ProcessState.ExitCode(), s.Log.Tail(4000))
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the sidecar was not ready within %s:\n%s", patience, s.Log.Tail(4000))
		}
	}
}

// readyStatus is the status of /readyz, 0 when nothing answers.
func (s *Sidecar) readyStatus() int {
	response, err := s.client.Get("http://" + s.Probes + "/readyz")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// Signal sends sig to the process.
func (s *Sidecar) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatalf("signal the sidecar: %v", err)
	}
}

// PID is the id of the process.
func (s *Sidecar) PID() int { return s.cmd.Process.Pid }

// Kill9 ends the process as a crash of the machine would, and returns when it is gone.
func (s *Sidecar) Kill9() {
	s.t.Helper()
	s.Signal(syscall.SIGKILL)
	<-s.exited
	s.client.CloseIdleConnections()
}

// Term asks the process to drain and returns at once.
func (s *Sidecar) Term() { s.t.Helper(); s.Signal(syscall.SIGTERM) }

// Hangup asks the process to read its configuration again and returns at once.
func (s *Sidecar) Hangup() { s.t.Helper(); s.Signal(syscall.SIGHUP) }

// Wait returns the exit code, and fails the test when the process takes longer than d to end.
func (s *Sidecar) Wait(d time.Duration) int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(d):
		s.t.Fatalf("the sidecar did not end within %s:\n%s", d, s.Log.Tail(4000))
	}
	return s.cmd.ProcessState.ExitCode()
}

// Restart starts the process again, with the file as it is, and returns when it is ready.
func (s *Sidecar) Restart() {
	s.t.Helper()
	s.launch()
	s.WaitReady()
}

// finish ends the process and, when the test failed, shows its last words.
func (s *Sidecar) finish() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	s.client.CloseIdleConnections()
	if s.t.Failed() {
		s.t.Logf("last output of the sidecar:\n%s", s.Log.Tail(2500))
	}
}
