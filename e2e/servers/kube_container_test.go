//go:build e2e

package servers

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// renderedContainerRuns starts what the API server has made of an example pod, with the shipped policies, and nothing
// changed: arguments, environment, user, files and ports. Then it leads it through the pod's life.
func renderedContainerRuns(t *testing.T, c *cluster) {
	credentials := map[string]any{}
	for _, key := range []string{"SALES_API_TOKEN", "SALES_SIGNING_KEY"} {
		credentials[key] = base64.StdEncoding.EncodeToString([]byte("the-" + key))
	}
	policies := policiesOf(t, "base")
	c.mustApply(t, policies, object{"apiVersion": "v1", "kind": "Secret", "data": credentials,
		"metadata": map[string]any{"name": "integration-credentials", "namespace": restricted}})
	pod := c.mustCreate(t, c.podFrom(t, example("deployment.yaml")(t)))
	n := newNode(t, c, pod, sidecars(pod)[0])
	n.start()
	n.awaitStarted()
	for _, name := range []string{"readinessProbe", "livenessProbe"} {
		if !n.probe(name) {
			t.Errorf("the %s fails", name)
		}
	}
	if status, _ := n.call(t.Context(), "http://127.0.0.1:9902/metrics"); status != http.StatusOK {
		t.Errorf("/metrics answers %d on the port that PodMonitor reads", status)
	}
	base := variableOf(t, pod.list("spec", "containers")[0], "SALES_SYSTEM_URL")
	system := n.salesSystem()
	n.policiesChangeWithoutRestart(policies, base, system)
	n.lastCallIsFinished(base, system)
}

// policiesOf is the ConfigMap that kustomize makes of a folder.
func policiesOf(t *testing.T, folder string) object {
	t.Helper()
	for _, o := range build(t, folder) {
		if o.text("kind") == "ConfigMap" && o.text("metadata", "name") == "integration-policies" {
			return o
		}
	}
	t.Fatalf("%s makes no ConfigMap integration-policies", folder)
	return nil
}

func variableOf(t *testing.T, container object, name string) string {
	t.Helper()
	for _, v := range container.list("env") {
		if v.text("name") == name {
			return v.text("value")
		}
	}
	t.Fatalf("container %s has no variable %s", container.text("name"), name)
	return ""
}

// awaitStarted gives the container as long as its startup probe does.
func (n *node) awaitStarted() {
	n.t.Helper()
	period, failures := number(n.container, "startupProbe", "periodSeconds"), number(n.container, "startupProbe", "failureThreshold")
	within(n.t, time.Duration(period*failures)*time.Second, "the startup probe", func() bool {
		select {
		case <-n.exited:
			n.t.Fatalf("the container ended before it was ready:\n%s", n.log)
		default:
		}
		return n.probe("startupProbe")
	})
}

func (n *node) call(ctx context.Context, url string) (int, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	response, err := n.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// salesSystem is an external system in the pod's network. It answers /slow when it is released.
type salesSystem struct {
	*httptest.Server
	seen             chan string // the first call
	entered, release chan struct{}
}

func (n *node) salesSystem() *salesSystem {
	n.t.Helper()
	s := &salesSystem{seen: make(chan string, 1), entered: make(chan struct{}), release: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(s)
	_ = s.Listener.Close()
	s.Listener = n.network.listen(n.t)
	s.Start()
	n.t.Cleanup(s.Close)
	return s
}

const fromSales = "from the sales system"

// ServeHTTP implements http.Handler.
func (s *salesSystem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.seen <- r.URL.Path + " " + r.Header.Get("Authorization"):
	default:
	}
	if r.URL.Path == "/slow" {
		s.entered <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, fromSales)
}

// policiesChangeWithoutRestart points the adapter to the given system, by an update of the ConfigMap in the cluster and
// the swap that a kubelet makes of it. The credentials come from the Secret.
func (n *node) policiesChangeWithoutRestart(policies object, base string, system *salesSystem) {
	n.t.Helper()
	changed := policies.copied(n.t)
	text := changed.text("data", "config.yaml")
	const shipped = "https://sales.pyxis.example.com"
	if !strings.Contains(text, shipped) {
		n.t.Fatalf("the policies do not name %s", shipped)
	}
	set(changed, strings.Replace(text, shipped, system.URL, 1), "data", "config.yaml")
	n.cluster.mustApply(n.t, changed)
	n.swap(filepath.Join(n.root, "etc/sidecar/config"), n.data("ConfigMap", "integration-policies"))
	within(n.t, clusterPatience, "the changed policies to be served", func() bool {
		return strings.Contains(n.log.String(), `"msg":"configuration reloaded"`)
	})
	if status, text := n.call(n.t.Context(), base+"/orders"); status != http.StatusOK || text != fromSales {
		n.t.Fatalf("the application is answered %d %q", status, text)
	}
	if got := <-system.seen; got != "/orders Bearer the-SALES_API_TOKEN" {
		n.t.Errorf("the sales system saw %q", got)
	}
	if strings.Count(n.log.String(), `"msg":"serving"`) != 1 {
		n.t.Errorf("the container was started again")
	}
}

// lastCallIsFinished ends the container with a call of the application under way: it is answered, and the container ends
// well within the pod's grace period.
func (n *node) lastCallIsFinished(base string, system *salesSystem) {
	n.t.Helper()
	answered := make(chan string, 1)
	go func() {
		status, text := n.call(context.Background(), base+"/slow")
		answered <- http.StatusText(status) + " " + text
	}()
	<-system.entered
	must(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	within(n.t, clusterPatience, "the readiness probe to fail", func() bool { return !n.probe("readinessProbe") })
	close(system.release)
	if got := <-answered; got != "OK "+fromSales {
		n.t.Errorf("the call under way was answered %q", got)
	}
	select {
	case <-n.exited:
	case <-time.After(time.Duration(number(n.pod, "spec", "terminationGracePeriodSeconds")) * time.Second):
		n.t.Fatalf("it did not end within the pod's grace period")
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.t.Errorf("it ended with code %d", code)
	}
}
