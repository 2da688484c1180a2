package admin

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/proxy"
)

// socketPath is short: a socket's path is at most 107 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "adm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "admin.sock")
}

func TestACommandSpeaksOverASocketAndTheAuditKnowsItsUser(t *testing.T) {
	path, world := socketPath(t), newWorld()
	l, err := Listen(UnixScheme + path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: world.handler(nil), ConnContext: ConnContext}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	if l.Addr().String() != UnixScheme+path {
		t.Errorf("address %s", l.Addr())
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v %v", info.Mode(), err)
	}
	c, err := NewClient(UnixScheme+path, hint)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Replay(t.Context(), "a", proxy.ReplayOptions{Who: "ann"}); err != nil || r.Status != 201 {
		t.Errorf("%+v %v", r, err)
	}
	want := fmt.Sprintf(`via="unix uid=%d pid=%d"`, os.Getuid(), os.Getpid())
	if runtime.GOOS == "linux" && !strings.Contains(world.log.String(), want) {
		t.Errorf("audit: %s", world.log.String())
	}
	_ = server.Close()
	<-done
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "could not reach the sidecar at "+UnixScheme+path) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestASocketThatWasLeftBehindIsReplaced(t *testing.T) {
	path := socketPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close() // as a process that was killed leaves it
	l, err := Listen(UnixScheme + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(UnixScheme + path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a live socket was taken: %v", err)
	}
	if err := os.Rename(path, path+".mine"); err != nil {
		t.Fatal(err)
	}
	other, err := Listen(UnixScheme + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another's socket was removed: %v", err)
	}
	_ = other.Close()
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	path := socketPath(t)
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, taken := range []string{path, link, filepath.Dir(path)} {
		if _, err := Listen(UnixScheme + taken); err == nil || !strings.Contains(err.Error(), "is no socket") {
			t.Errorf("%s: %v", taken, err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := Listen(UnixScheme + filepath.Join(path, "below", "a.sock")); err == nil {
		t.Error("a socket in no folder")
	}
}

func TestAnAddressOfASocketNamesAPath(t *testing.T) {
	if _, err := NewClient(UnixScheme, hint); err == nil {
		t.Error("no path was taken")
	}
}
