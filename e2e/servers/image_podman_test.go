//go:build e2e

package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// podman is podman with a store of its own, which knows no registry and ends with the test.
type podman struct {
	dir   string
	shell string // the program to call: podman with that store
}

// The kernel's limits are given because podman would raise them, which a machine may forbid even to root.
const podmanEngine = `[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "%[1]s/tmp"
[containers]
cgroups = "disabled"
netns = "host"
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
`

const podmanStorage = `[storage]
driver = "vfs"
graphroot = "%[1]s/root"
runroot = "%[1]s/run"
`

// What podman mounts goes with it, and crun does not start where version 2 of control groups lies beside version 1: it is
// shown version 2 alone.
const podmanCommand = `#!/bin/sh
export CONTAINERS_CONF=%[1]s/engine.conf CONTAINERS_STORAGE_CONF=%[1]s/storage.conf CONTAINERS_REGISTRIES_CONF=%[1]s/registries.conf
exec unshare --mount sh -c '
	[ ! -d /sys/fs/cgroup/unified ] || mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup
	exec %[2]s "$@"' podman "$@"
`

func newPodman(t *testing.T) *podman {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it makes containers")
	}
	for _, name := range []string{"crun", "unshare", "busybox"} {
		program(t, name)
	}
	dir := t.TempDir()
	p := &podman{dir: dir, shell: filepath.Join(dir, "podman")}
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{
		{"engine.conf", fmt.Sprintf(podmanEngine, dir), 0o600},
		{"storage.conf", fmt.Sprintf(podmanStorage, dir), 0o600},
		{"registries.conf", "", 0o600},
		{"podman", fmt.Sprintf(podmanCommand, dir, program(t, "podman")), 0o700},
	} {
		must(t, os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), f.mode))
	}
	p.base(t)
	return p
}

// do runs podman and returns what it wrote to stdout.
func (p *podman) do(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, exec.Command(p.shell, args...))
}

// output is what a command that must not fail writes to stdout.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		tail := stderr.String()
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(cmd.Args, " "), err, out, tail[max(0, len(tail)-4000):])
	}
	return string(out)
}

// base makes the image that stands for the official one of Go, which only a registry has.
func (p *podman) base(t *testing.T) {
	t.Helper()
	context := filepath.Join(p.dir, "base")
	must(t, os.Mkdir(context, 0o700))
	for from, to := range map[string]string{
		program(t, "busybox"): "busybox", "/etc/ssl/certs/ca-certificates.crt": "ca-certificates.crt", "../image/Dockerfile": "Dockerfile",
	} {
		content, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(context, to), content, 0o755))
	}
	p.do(t, "build", "--isolation", "chroot", "--layers=false", "-t", "localhost/builder", context)
}

// build makes the image as make image does, without anything that an earlier build left, and returns its id. The
// modules come from this machine's cache, in the form of a module proxy: go.sum judges them as it would those.
func (p *podman) build(t *testing.T, name, platform string) string {
	t.Helper()
	output(t, exec.Command("go", "mod", "download"))
	goEnv := strings.Fields(output(t, exec.Command("go", "env", "GOROOT", "GOMODCACHE")))
	flags := "--isolation chroot --no-cache --layers=false --build-arg BUILDER=localhost/builder" +
		" -v " + goEnv[0] + ":/usr/local/go:ro -v " + goEnv[1] + "/cache/download:/modules:ro"
	output(t, exec.Command("make", "-C", "../..", "--no-print-directory", "-o", "sbom", "image", "IMAGE_TOOL="+p.shell, "IMAGE="+name,
		"PLATFORM="+platform, "VERSION="+imageVersion, "COMMIT="+imageCommit, "IMAGE_FLAGS="+flags))
	return strings.TrimSpace(p.do(t, "image", "inspect", "--format", "{{.Id}}", name))
}
