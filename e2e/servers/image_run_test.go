//go:build e2e

package servers

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/e2e"
)

// container is a sidecar that runs from the image as a pod of k8s/ would run it.
type container struct {
	*e2e.Sidecar
	podman *podman
	name   string
	inside []string // the program as seen from inside, with who emulates its processor
}

// start runs image with a read-only root, no capabilities, and no file to write but in the volume of its spool, which
// outlives it. With an emulator, that is mounted beside the program and runs it.
func (p *podman) start(t *testing.T, image, emulator string, upstreams map[string]string) *container {
	t.Helper()
	dir := t.TempDir()
	c := &container{podman: p, name: filepath.Base(dir) + strings.ReplaceAll(image, "localhost/sidecar:", "-"), inside: []string{"/sidecar"}}
	config := filepath.Join(dir, "config.yaml")
	command := []string{p.shell, "run", "--rm", "--name", c.name, "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
		"--security-opt", "no-new-privileges", "-v", config + ":/etc/sidecar/config.yaml:ro", "-v", c.name + ":/var/lib/sidecar/dlq"}
	if emulator != "" {
		c.inside = []string{"/emulator", "/sidecar"}
		command = append(command, "-v", emulator+":/emulator:ro", "--entrypoint", `["/emulator","/sidecar"]`, image, "run", "--config", "/etc/sidecar/config.yaml")
	} else {
		command = append(command, image)
	}
	c.Sidecar = e2e.Prepare(t, e2e.Setup{Dir: dir, Config: config, Command: command})
	text := fmt.Sprintf("listen: { proxy: %s, admin: %s, probes: %s }\ndefaults: { retry: off }\nadapters:\n", c.Proxy, c.Admin, c.Probes)
	for name, url := range upstreams {
		text += fmt.Sprintf("  %s: { upstream: %q }\n", name, url)
	}
	must(t, os.WriteFile(config, []byte(text), 0o644))
	t.Cleanup(func() { p.do(t, "rm", "-f", "-i", "-t", "0", c.name) })
	c.Restart()
	return c
}

// exec runs a command of the sidecar in the container, as kubectl exec does.
func (c *container) exec(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	argv := append([]string{"exec", "-e", "SIDECAR_ADMIN=" + c.Admin, "-e", "SIDECAR_PROBES=" + c.Probes, c.name}, c.inside...)
	cmd := exec.Command(c.podman.shell, append(argv, args...)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// wantConfined asks the kernel what the process may do.
func (c *container) wantConfined(t *testing.T) {
	t.Helper()
	pid := strings.TrimSpace(c.podman.do(t, "inspect", "--format", "{{.State.Pid}}", c.name))
	status, err := os.ReadFile("/proc/" + pid + "/status")
	must(t, err)
	for _, want := range []string{`Uid:(\s65532){4}`, `Gid:(\s65532){4}`, `NSpid:.*\s1`, `CapBnd:\s0+`, `CapEff:\s0+`, `NoNewPrivs:\s1`, `Seccomp:\s2`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).Match(status) {
			t.Errorf("the process is not as %q says:\n%s", want, status)
		}
	}
	mounts, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	must(t, err)
	for at, mode := range map[string]string{"/": "ro", "/etc/sidecar/config.yaml": "ro", "/var/lib/sidecar/dlq": "rw"} {
		if !regexp.MustCompile(`(?m)^\d+ \d+ \S+ \S+ ` + at + ` ` + mode + `[, ]`).Match(mounts) {
			t.Errorf("%s is not mounted %s:\n%s", at, mode, mounts)
		}
	}
}

// wantService holds the image to what the binary is held to elsewhere, as far as a container could change it.
func wantService(t *testing.T, p *podman, image, emulator string) {
	t.Helper()
	gate := e2e.NewGate(t)
	bad, slow := e2e.NewUpstream(t, e2e.Status(500)), e2e.NewUpstream(t, gate.Hold(e2e.OK("finished")))
	c := p.start(t, image, emulator, map[string]string{"sales": bad.URL, "slow": slow.URL})
	if emulator == "" { // else the kernel sees the emulator
		c.wantConfined(t)
	}
	if out, code := c.exec(t, "health"); code != 0 {
		t.Errorf("sidecar health in the container ends with code %d: %s", code, out)
	}
	if out, _ := c.exec(t, "version"); !strings.Contains(out, imageVersion) || !strings.Contains(out, imageCommit) {
		t.Errorf("sidecar version says %q", out)
	}
	letter := c.Post(t, "/sales/orders", "{}", "X-Idempotency-Key: key-1").LetterID()
	if letter == "" {
		t.Fatal("the spool took no letter")
	}
	done := make(chan e2e.Answer, 1)
	go func() {
		a, err := c.Try(t.Context(), http.MethodPost, "/slow/orders", "{}")
		if err != nil {
			t.Errorf("the call in flight was cut off: %v", err)
		}
		done <- a
	}()
	gate.WaitEntered(t)
	c.Term() // podman passes it to process 1, as the kubelet does
	e2e.Eventually(t, "/readyz to say no", func() bool {
		a, err := c.Try(t.Context(), http.MethodGet, "http://"+c.Probes+"/readyz", "")
		return err == nil && a.Status == http.StatusServiceUnavailable
	})
	if out, code := c.exec(t, "health"); code != 1 {
		t.Errorf("sidecar health ends with code %d while draining, want 1: %s", code, out)
	}
	gate.Open()
	if a := e2e.Receive(t, done, "the call in flight"); a.Status != 200 || a.Body != "finished" {
		t.Errorf("the call in flight got %d %q, want its answer", a.Status, a.Body)
	}
	if code := c.Wait(20 * time.Second); code != 0 {
		t.Errorf("exit code %d after draining, want 0", code)
	}
	c.Restart() // another container, the same volume
	if out, code := c.exec(t, "dlq", "show", letter); code != 0 || !strings.Contains(out, letter) {
		t.Errorf("the letter is not in the volume (code %d): %s", code, out)
	}
}
