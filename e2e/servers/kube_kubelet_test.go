//go:build e2e

package servers

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// node does for one container of a pod what a kubelet does: a root with nothing but the binary and the volumes, a network,
// the environment, the user, the probes.
type node struct {
	t         *testing.T
	cluster   *cluster
	pod       object // as the API server has it
	container object

	root    string
	network *podNetwork
	client  *http.Client
	log     *e2e.Output
	cmd     *exec.Cmd
	exited  chan struct{}
	swaps   int
}

func newNode(t *testing.T, c *cluster, pod, container object) *node {
	t.Helper()
	n := &node{t: t, cluster: c, pod: pod, container: container, root: t.TempDir(), network: newPodNetwork(t), log: new(e2e.Output)}
	n.client = n.network.client(t)
	build := exec.Command("go", "build", "-o", filepath.Join(n.root, "sidecar"), "github.com/fsm-integrations/sidecar/cmd/sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the image: there is no libc in the root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build a static binary: %v\n%s", err, out)
	}
	for _, m := range container.list("volumeMounts") {
		n.mount(m)
	}
	return n
}

// mount makes what a volume holds at its place.
func (n *node) mount(m object) {
	n.t.Helper()
	at := filepath.Join(n.root, m.text("mountPath"))
	must(n.t, os.MkdirAll(at, 0o755))
	for _, v := range n.pod.list("spec", "volumes") {
		switch {
		case v.text("name") != m.text("name"):
		case v.at("emptyDir") != nil:
			must(n.t, os.Chmod(at, 0o777)) // as the kubelet makes them
		case v.at("configMap") != nil:
			n.swap(at, n.data("ConfigMap", v.text("configMap", "name")))
		case v.at("secret") != nil:
			n.swap(at, n.data("Secret", v.text("secret", "secretName")))
		default:
			n.t.Fatalf("volume %s is of a kind this node does not know", v.text("name"))
		}
	}
}

// data reads a ConfigMap or a Secret of the pod's namespace from the API server.
func (n *node) data(kind, name string) map[string]string {
	n.t.Helper()
	o := object{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": n.pod.text("metadata", "namespace")}}
	status, o, err := n.cluster.try(http.MethodGet, n.cluster.path(n.t, o)+"/"+name, "", nil)
	must(n.t, err)
	if status != http.StatusOK {
		n.t.Fatalf("read %s %s: %d", kind, name, status)
	}
	found := map[string]string{}
	raw, _ := o.at("data").(map[string]any)
	for key, value := range raw {
		text := value.(string)
		if kind == "Secret" {
			plain, err := base64.StdEncoding.DecodeString(text)
			must(n.t, err)
			text = string(plain)
		}
		found[key] = text
	}
	return found
}

// swap publishes files as a kubelet does: a new folder, and one rename of the link ..data, to which the files are links.
func (n *node) swap(dir string, files map[string]string) {
	n.t.Helper()
	n.swaps++
	version := fmt.Sprintf("..version_%d", n.swaps)
	must(n.t, os.Mkdir(filepath.Join(dir, version), 0o755))
	for name, text := range files {
		must(n.t, os.WriteFile(filepath.Join(dir, version, name), []byte(text), 0o644))
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	must(n.t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
	must(n.t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	for name := range files {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			n.t.Fatal(err)
		}
	}
	if old != "" {
		must(n.t, os.RemoveAll(filepath.Join(dir, old)))
	}
}

var reference = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

// environment resolves what the container says: Secrets first, then its own variables, which may name earlier ones.
func (n *node) environment() []string {
	n.t.Helper()
	values := map[string]string{}
	for _, source := range n.container.list("envFrom") {
		for key, value := range n.data("Secret", source.text("secretRef", "name")) {
			values[key] = value
		}
	}
	for _, v := range n.container.list("env") {
		value := v.text("value")
		if from := v.text("valueFrom", "fieldRef", "fieldPath"); from != "" {
			value = n.pod.text(strings.Split(from, ".")...)
		}
		if v.text("valueFrom", "resourceFieldRef", "resource") == "limits.memory" && v.text("valueFrom", "resourceFieldRef", "divisor") == "1Mi" {
			value = strings.TrimSuffix(n.container.text("resources", "limits", "memory"), "Mi")
		}
		values[v.text("name")] = reference.ReplaceAllStringFunc(value, func(s string) string { return values[s[2:len(s)-1]] })
	}
	list := make([]string, 0, len(values))
	for key, value := range values {
		list = append(list, key+"="+value)
	}
	return list
}

func number(o object, path ...string) int { f, _ := o.at(path...).(float64); return int(f) }

// start runs the image's entry point with the container's arguments, environment and user.
func (n *node) start() {
	n.t.Helper()
	raw, _ := n.container.at("args").([]any)
	args := make([]string, len(raw))
	for i, a := range raw {
		args[i] = a.(string)
	}
	n.cmd = exec.Command("/sidecar", args...)
	n.cmd.Dir, n.cmd.Env, n.cmd.Stdout, n.cmd.Stderr = "/", n.environment(), n.log, n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: n.root, Credential: &syscall.Credential{
		Uid: uint32(number(n.container, "securityContext", "runAsUser")), Gid: uint32(number(n.container, "securityContext", "runAsGroup"))}}
	must(n.t, n.network.inside(n.cmd.Start))
	n.exited = make(chan struct{})
	go func() {
		_ = n.cmd.Wait() // the code is read from ProcessState
		close(n.exited)
	}()
	n.t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.exited
		if n.t.Failed() {
			n.t.Logf("last output of the container:\n%s", n.log.Tail(3000))
		}
	})
}

// probe asks one of the container's probes once.
func (n *node) probe(name string) bool {
	r, err := n.client.Get("http://127.0.0.1:" + strconv.Itoa(number(n.container, name, "httpGet", "port")) + n.container.text(name, "httpGet", "path"))
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode >= 200 && r.StatusCode < 400
}
