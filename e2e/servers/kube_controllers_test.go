//go:build e2e

package servers

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsm-integrations/sidecar/e2e"
)

// controllersMakeTheSamePods lets Kubernetes' own controllers make the pods of the examples. They have to be those that
// podFrom made for the other tests, and their owners have to go on as if there were no sidecar.
func controllersMakeTheSamePods(t *testing.T, c *cluster) {
	c.startControllers(t)
	for _, file := range []string{"deployment.yaml", "statefulset.yaml", "job.yaml"} {
		t.Run(file, func(t *testing.T) {
			o := example(file)(t)
			want := c.mustCreate(t, c.podFrom(t, o), "dryRun=All")
			c.mustApply(t, o)
			pod := c.awaitPod(t, o.text("metadata", "labels", "app"))
			wantSidecarFirst(t, pod)
			for _, own := range []string{"hostname", "subdomain"} { // of a StatefulSet's pods
				delete(pod.at("spec").(map[string]any), own)
			}
			wantSame(t, pod, want)
			if o.text("kind") == "Job" {
				c.completes(t, o, pod)
			}
		})
	}
	t.Run("a pod that is refused", func(t *testing.T) { refusalIsTold(t, c) })
}

// startControllers runs kube-controller-manager with the controllers that make pods.
func (c *cluster) startControllers(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	access := filepath.Join(dir, "access.yaml")
	must(t, os.WriteFile(access, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: e2e, user: {token: %s}}]
contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
current-context: e2e
`, c.url, c.certificate, clusterToken), 0o600))
	address := e2e.FreeAddr(t)
	_, port, _ := strings.Cut(address, ":")
	serve(t, address, "kube-controller-manager", "--kubeconfig", access, "--leader-elect=false",
		"--controllers", "deployment-controller,replicaset-controller,statefulset-controller,job-controller",
		"--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", filepath.Join(dir, "certificates"))
}

// awaitPod returns a pod that a controller has made for an application.
func (c *cluster) awaitPod(t *testing.T, app string) (pod object) {
	t.Helper()
	within(t, clusterPatience, "a controller to make a pod of "+app, func() bool {
		_, list, err := c.try(http.MethodGet, "/api/v1/namespaces/"+restricted+"/pods?labelSelector=app%3D"+app, "", nil)
		must(t, err)
		for _, p := range list.list("items") {
			if len(p.list("metadata", "ownerReferences")) > 0 {
				pod = p
			}
		}
		return pod != nil
	})
	return pod
}

// completes says of the pod what a kubelet says when its own container has ended and the sidecar was stopped: the Job has
// to be complete, although the sidecar was killed by a signal.
func (c *cluster) completes(t *testing.T, job, pod object) {
	t.Helper()
	ended := func(name string, code int) map[string]any {
		return map[string]any{"name": name, "image": "x", "imageID": "x", "ready": false, "restartCount": 0,
			"state": map[string]any{"terminated": map[string]any{"exitCode": code, "reason": "Completed"}}}
	}
	status := object{"status": map[string]any{"phase": "Succeeded",
		"initContainerStatuses": []any{ended("integration-sidecar", 137)}, "containerStatuses": []any{ended("reconcile", 0)}}}
	path := "/api/v1/namespaces/" + restricted + "/pods/" + pod.text("metadata", "name") + "/status"
	code, answer, err := c.try(http.MethodPatch, path, "application/merge-patch+json", marshal(t, status))
	must(t, err)
	if code != http.StatusOK {
		t.Fatalf("tell of the pod's end: %d %s", code, answer.text("message"))
	}
	within(t, clusterPatience, "the job to be complete", func() bool {
		_, now, err := c.try(http.MethodGet, c.path(t, job)+"/"+job.text("metadata", "name"), "", nil)
		must(t, err)
		for _, condition := range now.list("status", "conditions") {
			if condition.text("type") == "Complete" && condition.text("status") == "True" {
				return true
			}
		}
		return false
	})
}

// refusalIsTold: whoever looks at the ReplicaSet of a Deployment without pods finds the reason.
func refusalIsTold(t *testing.T, c *cluster) {
	o := example("deployment.yaml")(t)
	set(o, "on-the-host", "metadata", "name")
	set(o, labelled, "metadata", "namespace")
	set(o, true, "spec", "template", "spec", "hostNetwork")
	c.mustApply(t, o)
	within(t, clusterPatience, "the reason to stand on the ReplicaSet", func() bool {
		_, sets, err := c.try(http.MethodGet, "/apis/apps/v1/namespaces/"+labelled+"/replicasets", "", nil)
		must(t, err)
		for _, s := range sets.list("items") {
			for _, condition := range s.list("status", "conditions") {
				if strings.Contains(condition.text("message"), "a pod with hostNetwork: true gets no sidecar") {
					return true
				}
			}
		}
		return false
	})
}
