//go:build e2e

package servers

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// manifests is the folder of what is shipped.
var manifests = filepath.Join("..", "..", "k8s")

// The namespaces of the tests: restricted and labelled as k8s/base has it, labelled only, and without any label.
const (
	restricted = "integrations"
	labelled   = "labelled"
	plain      = "plain"
)

// TestKubernetes holds k8s/ to a real API server. Its parts share the server and run one after the other; each leaves
// the cluster as it found it.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	c := startKubernetes(t)
	c.furnish(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"manifests are accepted", everyManifestIsAccepted},
		{"pods of every shape", podsOfEveryShape},
		{"the component's pods are the same", componentGivesTheSamePod},
		{"other policies that change the pod", otherPoliciesDoNotDouble},
		{"changed parameters", changedParametersCount},
		{"a short grace period", shortGraceIsTold},
		{"no pod without its sidecar", noPodWithoutItsSidecar},
		{"an ApplyConfiguration could not do it", applyConfigurationCannot},
		{"the container runs", renderedContainerRuns},
		{"controllers make the same pods", controllersMakeTheSamePods},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, c) })
	}
}

// furnish makes the namespaces and applies k8s/inject, and returns when it works.
func (c *cluster) furnish(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"podmonitors", "prometheusrules"} {
		c.mustApply(t, objectsIn(t, filepath.Join("..", ".cache", "kube", kind+".yaml"))...)
		within(t, clusterPatience, "the kind "+kind+" to be served", func() bool {
			status, _, err := c.try(http.MethodGet, "/apis/monitoring.coreos.com/v1/namespaces/default/"+kind, "", nil)
			return err == nil && status == http.StatusOK
		})
	}
	for _, name := range []string{restricted, labelled, plain} {
		c.mustApply(t, namespace(name), object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "default", "namespace": name}})
		for _, account := range objectsIn(t, filepath.Join(manifests, "base", "serviceaccount.yaml")) {
			set(account, name, "metadata", "namespace")
			c.mustApply(t, account)
		}
	}
	for _, file := range []string{"namespace.yaml", "params.yaml", "mutating.yaml", "validating.yaml"} {
		c.mustApply(t, objectsIn(t, filepath.Join(manifests, "inject", file))...)
	}
	c.awaitInjection(t)
	within(t, clusterPatience, "the validating policy to refuse", func() bool {
		status, answer := c.create(t, podOf(t, `hostNetwork: true`), "dryRun=All")
		return status >= 400 && strings.Contains(answer.text("message"), "a pod with hostNetwork: true gets no sidecar")
	})
}

// objectsIn reads a file of manifests.
func objectsIn(t *testing.T, file string) []object {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return parseObjects(t, text)
}

func namespace(name string) object {
	labels := map[string]any{}
	if name != plain {
		labels["integration-sidecar/inject"] = "true"
	}
	if name == restricted {
		labels["pod-security.kubernetes.io/enforce"] = "restricted"
	}
	return object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": labels}}
}

// podOf is a pod in the labelled namespace that asks for a sidecar, with more of its spec as flow YAML.
func podOf(t *testing.T, spec string) object {
	t.Helper()
	pod := parseObjects(t, []byte(`{apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: labelled, labels: {integration-sidecar/inject: "true"}}, `+
		`spec: {automountServiceAccountToken: false, containers: [{name: app, image: app}]}}`))[0]
	for _, more := range parseObjects(t, []byte("{"+spec+"}")) {
		for key, value := range more {
			set(pod, value, "spec", key)
		}
	}
	return pod
}

// awaitInjection returns when a pod gets its sidecar.
func (c *cluster) awaitInjection(t *testing.T) {
	t.Helper()
	var told string
	defer func() {
		if t.Failed() {
			t.Logf("the last answer was %s", told)
		}
	}()
	within(t, clusterPatience, "a pod to get its sidecar", func() bool {
		status, pod := c.create(t, podOf(t, ""), "dryRun=All")
		told = string(marshal(t, pod))
		return status == http.StatusCreated && len(sidecars(pod)) == 1
	})
}

// sidecars are the containers of a pod that are ours.
func sidecars(pod object) []object {
	var found []object
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, c := range pod.list("spec", list) {
			if c.text("name") == "integration-sidecar" {
				found = append(found, c)
			}
		}
	}
	return found
}

// build is kustomize build of a folder of k8s/.
func build(t *testing.T, folder string) []object {
	t.Helper()
	out, err := exec.Command(program(t, "kustomize"), "build", filepath.Join(manifests, folder)).Output()
	if err != nil {
		t.Fatalf("kustomize build %s: %v", folder, err)
	}
	return parseObjects(t, out)
}

// inject is sidecar inject of one object.
func inject(t *testing.T, o object) object {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	must(t, os.WriteFile(file, marshal(t, o), 0o600))
	r := e2e.Run(t, t.TempDir(), nil, "inject", "-f", file)
	if r.Code != 0 {
		t.Fatalf("sidecar inject ended with code %d: %s", r.Code, r.Stderr)
	}
	return parseObjects(t, []byte(r.Stdout))[0]
}
