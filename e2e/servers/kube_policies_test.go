//go:build e2e

package servers

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// componentGivesTheSamePod compares what kustomize makes of the examples with what the policies make of them. Base URLs
// are what kustomize cannot do.
func componentGivesTheSamePod(t *testing.T, c *cluster) {
	workloads := 0
	for _, o := range build(t, "overlays/older") {
		if o.text("kind") == "NetworkPolicy" {
			continue
		}
		workloads++
		t.Run(o.text("kind"), func(t *testing.T) {
			file := strings.ToLower(o.text("kind")) + ".yaml"
			byPolicy := c.mustCreate(t, c.podFrom(t, example(file)(t)), "dryRun=All")
			set(o, plain, "metadata", "namespace")
			byComponent := c.mustCreate(t, c.podFrom(t, o), "dryRun=All")
			wantSidecarFirst(t, byComponent)
			for _, container := range byPolicy.list("spec", "containers") {
				delete(container, "env")
			}
			wantSame(t, byComponent, byPolicy)
		})
	}
	if workloads != 4 {
		t.Errorf("the examples are %d workloads, want 4", workloads)
	}
}

// policy makes a MutatingAdmissionPolicy of one mutation for labelled pods, and its binding.
func policy(t *testing.T, name, label, mutation string) []object {
	t.Helper()
	return parseObjects(t, []byte(fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  reinvocationPolicy: IfNeeded
  matchConstraints:
    objectSelector: {matchLabels: {%[2]s: "true"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations:
    - %[3]s
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s}
`, name, label, mutation)))
}

func (c *cluster) removeAll(t *testing.T, objects []object) {
	t.Helper()
	for _, o := range objects {
		c.remove(t, o)
	}
}

// otherPoliciesDoNotDouble: policies before and after ours change the pod, so that all are invoked again.
func otherPoliciesDoNotDouble(t *testing.T, c *cluster) {
	var meddlers []object
	for _, name := range []string{"aa-meddler", "zz-meddler"} {
		meddlers = append(meddlers, policy(t, name, "meddle", fmt.Sprintf(`{patchType: JSONPatch, jsonPatch: {expression: '`+
			`object.spec.containers.exists(c, c.name == "%[1]s") ? [] : [JSONPatch{op: "add", path: "/spec/containers/-", `+
			`value: Object.spec.containers{name: "%[1]s", image: "meddler"}}]'}}`, name))...)
	}
	c.mustApply(t, meddlers...)
	defer c.removeAll(t, meddlers)
	o := written("", "labels meddle", "true", adapters, "crm")(t)
	var pod object
	within(t, clusterPatience, "both policies to add a container", func() bool {
		var status int
		status, pod = c.create(t, o, "dryRun=All")
		return status == http.StatusCreated && len(pod.list("spec", "containers")) == 3
	})
	wantSidecarFirst(t, pod)
	for _, container := range pod.list("spec", "containers") {
		if env := container.list("env"); container.text("name") == "app" && len(env) != 1 {
			t.Errorf("the application has %d variables, want CRM_URL once", len(env))
		}
	}
}

// changedParametersCount: what the ConfigMap says is what the next pod gets, and where it says nothing the built-in value.
func changedParametersCount(t *testing.T, c *cluster) {
	shipped := objectsIn(t, filepath.Join(manifests, "inject", "params.yaml"))[0]
	changed := shipped.copied(t)
	changed["data"] = map[string]any{"image": "registry.example.com/integration-sidecar@sha256:" + strings.Repeat("a", 64), "memoryLimit": "256Mi"}
	c.mustApply(t, changed)
	defer c.awaitImage(t, "integration-sidecar:dev")
	defer c.mustApply(t, shipped)
	sidecar := c.awaitImage(t, "registry.example.com/")
	if limit, request := sidecar.text("resources", "limits", "memory"), sidecar.text("resources", "requests", "memory"); limit != "256Mi" || request != "32Mi" {
		t.Errorf("memory: limit %s, request %s; want 256Mi and the built-in 32Mi", limit, request)
	}
}

// awaitImage returns the sidecar of a pod when it has such an image.
func (c *cluster) awaitImage(t *testing.T, prefix string) (sidecar object) {
	t.Helper()
	within(t, clusterPatience, "the image to be "+prefix, func() bool {
		if _, pod := c.create(t, podOf(t, ""), "dryRun=All"); len(sidecars(pod)) == 1 {
			sidecar = sidecars(pod)[0]
		}
		return strings.HasPrefix(sidecar.text("image"), prefix)
	})
	return sidecar
}

// shortGraceIsTold: a pod that may be killed while its sidecar drains is admitted, with a warning that kubectl prints.
func shortGraceIsTold(t *testing.T, c *cluster) {
	const warning = "terminationGracePeriodSeconds is less than 30"
	within(t, clusterPatience, "the warning", func() bool {
		status, pod := c.create(t, podOf(t, "terminationGracePeriodSeconds: 10"), "dryRun=All")
		return status == http.StatusCreated && strings.Contains(pod.text("warnings"), warning)
	})
	if pod := c.mustCreate(t, podOf(t, ""), "dryRun=All"); strings.Contains(pod.text("warnings"), warning) {
		t.Errorf("a pod with the usual grace period is warned of too: %s", pod.text("warnings"))
	}
}

// noPodWithoutItsSidecar takes away one part of the injection at a time: labelled pods must be refused, others not. The
// policy comes last: a server of version 1.36 that has lost its last policy with parameters from ConfigMaps stops watching
// ConfigMaps for policies, and does not begin again when one comes back (k8s/README.md).
func noPodWithoutItsSidecar(t *testing.T, c *cluster) {
	for _, missing := range []struct{ file, kind, message string }{
		{"params.yaml", "ConfigMap", "no params found"},
		{"mutating.yaml", "MutatingAdmissionPolicyBinding", "would start without its sidecar"},
		{"mutating.yaml", "MutatingAdmissionPolicy", "would start without its sidecar"},
	} {
		t.Run(missing.kind, func(t *testing.T) {
			for _, o := range objectsIn(t, filepath.Join(manifests, "inject", missing.file)) {
				if o.text("kind") == missing.kind {
					c.remove(t, o)
					defer c.awaitInjection(t)
					defer c.mustApply(t, o)
				}
			}
			within(t, clusterPatience, "the pod to be refused with "+missing.message, func() bool {
				status, answer := c.create(t, podOf(t, ""), "dryRun=All")
				if status == http.StatusCreated && len(sidecars(answer)) == 0 {
					t.Fatalf("a labelled pod was admitted without its sidecar")
				}
				return status >= 400 && strings.Contains(answer.text("message"), missing.message)
			})
			c.mustCreate(t, written("", ask, "")(t), "dryRun=All")
			c.mustCreate(t, written("", "namespace", plain)(t), "dryRun=All")
		})
	}
}

// applyConfigurationCannot proves why the container goes in by JSONPatch (docs/decisions/0028). When it fails, Kubernetes
// has learned it, and the policy may become simpler.
func applyConfigurationCannot(t *testing.T, c *cluster) {
	attempt := policy(t, "attempt", "attempt", `{patchType: ApplyConfiguration, applyConfiguration: {expression: '`+
		`Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "new", image: "new", args: ["run"]}]}}'}}`)
	c.mustApply(t, attempt...)
	defer c.removeAll(t, attempt)
	o := written("", ask, "", "labels attempt", "true")(t)
	within(t, clusterPatience, "args to be refused in an ApplyConfiguration", func() bool {
		status, answer := c.create(t, o, "dryRun=All")
		return status >= 400 && strings.Contains(answer.text("message"), "may not mutate atomic arrays, maps or structs: .spec.initContainers[0].args")
	})
}
