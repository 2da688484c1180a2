//go:build e2e

package servers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	imageVersion = "9.8.7-e2e"
	imageCommit  = "0123456789ab"
	imageLimit   = 30_000_000 // bytes, uncompressed
)

// foreign is, by the architecture of this machine, the other one that the image is built for, and who runs it here.
var foreign = map[string]struct{ arch, emulator string }{
	"amd64": {"arm64", "qemu-aarch64-static"},
	"arm64": {"amd64", "qemu-x86_64-static"},
}

// Not parallel: three builds from nothing leave little of the machine to tests that measure time.
func TestImage(t *testing.T) {
	other, known := foreign[runtime.GOARCH]
	if !known {
		t.Fatalf("the image is not built for %s", runtime.GOARCH)
	}
	p := newPodman(t)
	native := p.build(t, "localhost/sidecar:native", "linux/"+runtime.GOARCH)
	p.build(t, "localhost/sidecar:foreign", "linux/"+other.arch)
	t.Run("two builds are the same", func(t *testing.T) {
		if again := p.build(t, "localhost/sidecar:again", ""); again != native {
			t.Errorf("the second build is image %s, the first was %s", again, native)
		}
		binary := filepath.Join(t.TempDir(), "sidecar")
		output(t, exec.Command("make", "-C", "../..", "build", "BINARY="+binary, "VERSION="+imageVersion, "COMMIT="+imageCommit))
		built, err := os.ReadFile(binary)
		must(t, err)
		if a, b := sha256.Sum256(built), sha256.Sum256(p.files(t, "localhost/sidecar:native")["sidecar"].content); a != b {
			t.Errorf("make build makes a binary of digest %x, the image holds one of %x", a, b)
		}
	})
	for name, arch := range map[string]string{"native": runtime.GOARCH, "foreign": other.arch} {
		t.Run(arch+" holds nothing but the program", func(t *testing.T) { wantContent(t, p.files(t, "localhost/sidecar:"+name), arch) })
		t.Run(arch+" says what it is", func(t *testing.T) { wantLabels(t, p, "localhost/sidecar:"+name, arch) })
	}
	t.Run("serves and drains", func(t *testing.T) { wantService(t, p, "localhost/sidecar:native", "") })
	t.Run(other.arch+" serves and drains", func(t *testing.T) { wantService(t, p, "localhost/sidecar:foreign", program(t, other.emulator)) })
}

// file is one entry of an image.
type file struct {
	header  *tar.Header
	content []byte
}

// files is all that an image holds, by path.
func (p *podman) files(t *testing.T, image string) map[string]file {
	t.Helper()
	id := strings.TrimSpace(p.do(t, "create", image))
	archive := p.do(t, "export", id)
	p.do(t, "rm", id)
	all := map[string]file{}
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		all[strings.TrimSuffix(h.Name, "/")] = file{h, content}
	}
}

func wantContent(t *testing.T, files map[string]file, arch string) {
	t.Helper()
	want := []string{"etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "licenses", "licenses/LICENSE", "licenses/licenses.md",
		"sidecar", "var", "var/lib", "var/lib/sidecar", "var/lib/sidecar/dlq"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("the image holds\n%q, want no more and no less than\n%q", got, want)
	}
	size, packed := 0, new(bytes.Buffer)
	z := gzip.NewWriter(packed)
	for _, path := range want {
		f := files[path]
		size += len(f.content)
		_, err := z.Write(f.content)
		must(t, err)
		if mode := f.header.Mode; mode&0o6022 != 0 {
			t.Errorf("%s has mode %o: others may write it, or it gives rights away", path, mode)
		}
		if owned := f.header.Uid == 65532; owned != (path == "var/lib/sidecar/dlq") {
			t.Errorf("%s belongs to user %d; the sidecar's own is its spool alone", path, f.header.Uid)
		}
	}
	must(t, z.Close())
	t.Logf("%s: %d bytes, %d compressed", arch, size, packed.Len())
	if size >= imageLimit {
		t.Errorf("the image has %d bytes, want fewer than %d", size, imageLimit)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"].content) {
		t.Error("the image holds no certificates")
	}
	wantStatic(t, files["sidecar"].content, arch)
}

// wantStatic looks into the program: of that architecture, with no interpreter or library to load, and with its modules
// written in it, which is what scanners read.
func wantStatic(t *testing.T, program []byte, arch string) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	must(t, err)
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; f.Machine != want {
		t.Errorf("the program is for %s, want %s", f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %s: it is not static", p.Type)
		}
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	must(t, err)
	if info.Main.Path != "github.com/fsm-integrations/sidecar" || len(info.Deps) == 0 {
		t.Errorf("the program says it is %s with %d modules", info.Main.Path, len(info.Deps))
	}
}

func wantLabels(t *testing.T, p *podman, image, arch string) {
	t.Helper()
	var found []struct {
		Architecture, Os string
		Config           struct {
			User                  string
			Env, Entrypoint, Cmd  []string
			Volumes, ExposedPorts map[string]any
			Labels                map[string]string
		}
	}
	must(t, json.Unmarshal([]byte(p.do(t, "image", "inspect", image)), &found))
	i, c := found[0], found[0].Config
	got := map[string]string{"platform": i.Os + "/" + i.Architecture, "user": c.User, "environment": fmt.Sprint(c.Env), "entry point": fmt.Sprint(c.Entrypoint),
		"arguments": fmt.Sprint(c.Cmd), "volumes": fmt.Sprint(c.Volumes), "ports": fmt.Sprint(c.ExposedPorts)}
	want := map[string]string{"platform": "linux/" + arch, "user": "65532:65532", "environment": "[PATH=/]", "entry point": "[/sidecar]",
		"arguments": "[run --config /etc/sidecar/config.yaml]", "volumes": "map[/var/lib/sidecar/dlq:map[]]", "ports": "map[9902/tcp:map[]]",
		"version": imageVersion, "revision": imageCommit, "licenses": "Apache-2.0"}
	for _, label := range []string{"title", "description", "source", "licenses", "version", "revision"} {
		got[label] = c.Labels["org.opencontainers.image."+label]
		if got[label] == "" {
			t.Errorf("there is no label org.opencontainers.image.%s", label)
		}
	}
	for what, w := range want {
		if got[what] != w {
			t.Errorf("%s: %q, want %q", what, got[what], w)
		}
	}
}
