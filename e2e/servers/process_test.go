//go:build e2e

package servers

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// program finds a server, also where setup.sh builds what is not packaged and where Debian hides daemons.
func program(t *testing.T, name string) string {
	t.Helper()
	cached, err := filepath.Abs(filepath.Join("..", ".cache", "bin", name))
	must(t, err)
	for _, path := range []string{cached, name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed; e2e/setup.sh installs what these tests need", name)
	return ""
}

// serve runs a server until the test ends and returns when it accepts connections at address.
func serve(t *testing.T, address, name string, args ...string) {
	t.Helper()
	log := new(e2e.Output)
	cmd := exec.Command(program(t, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-exited
		if t.Failed() {
			t.Logf("last output of %s:\n%s", name, log.Tail(2000))
		}
	})
	e2e.Eventually(t, name+" to listen on "+address, func() bool {
		select {
		case <-exited:
			t.Fatalf("%s ended at once:\n%s", name, log)
		default:
		}
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}
