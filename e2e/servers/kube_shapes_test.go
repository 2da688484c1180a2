//go:build e2e

package servers

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What may become of a pod.
const (
	injected = "injected"
	alone    = "left alone" // anything else is part of the message of a refusal
)

// shape is a pod, or what makes one, and what has to become of it.
type shape struct {
	name string
	make func(*testing.T) object
	want string
}

// example is one of the shipped ones.
func example(file string) func(*testing.T) object {
	return func(t *testing.T) object {
		o := objectsIn(t, filepath.Join(manifests, "examples", file))[0]
		set(o, restricted, "metadata", "namespace")
		return o
	}
}

// written is podOf with more of its metadata set: path, value, path, value.
func written(spec string, metadata ...string) func(*testing.T) object {
	return func(t *testing.T) object {
		o := podOf(t, spec)
		for i := 0; i < len(metadata); i += 2 {
			path := append([]string{"metadata"}, strings.SplitN(metadata[i], " ", 2)...)
			if metadata[i+1] == "" {
				delete(o.at(path[:len(path)-1]...).(map[string]any), path[len(path)-1])
				continue
			}
			set(o, metadata[i+1], path...)
		}
		return o
	}
}

// largePod has to fit into what the server lets an expression cost.
func largePod(t *testing.T) object {
	var names []string
	var containers, env []any
	for i := range 20 {
		names = append(names, "system-"+strconv.Itoa(i))
	}
	for i := range 60 {
		env = append(env, map[string]any{"name": "SETTING_" + strconv.Itoa(i), "value": "x"})
	}
	for i := range 30 {
		containers = append(containers, map[string]any{"name": "app-" + strconv.Itoa(i), "image": "app", "env": env})
	}
	o := written("", adapters, strings.Join(names, ","))(t)
	set(o, containers, "spec", "containers")
	return o
}

func set(o object, value any, path ...string) {
	m := map[string]any(o)
	for _, key := range path[:len(path)-1] {
		next, ok := m[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	m[path[len(path)-1]] = value
}

const (
	ask      = "labels integration-sidecar/inject"
	adapters = "annotations integration-sidecar/adapters"
)

var shapes = []shape{
	{"Deployment", example("deployment.yaml"), injected},
	{"StatefulSet with a claim for the spool", example("statefulset.yaml"), injected},
	{"Job", example("job.yaml"), injected},
	{"CronJob", example("cronjob.yaml"), injected},
	{"restricted namespace", written(`securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}, `+
		`containers: [{name: app, image: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]`,
		"namespace", restricted), injected},
	{"own init containers", written(`initContainers: [{name: migrate, image: app}, {name: wait, image: app}]`, adapters, "crm"), injected},
	{"own sidecars", written(`initContainers: [{name: mesh, image: mesh, restartPolicy: Always}]`), injected},
	{"generateName", written("", "name", "", "generateName", "worker-"), injected},
	{"securityContext", written(`securityContext: {runAsUser: 1000, fsGroup: 2000, runAsNonRoot: true}`), injected},
	{"two containers, URLs of their own", written(`containers: [{name: app, image: app, env: [{name: ERP_SYSTEM_URL, value: "http://mine"}, {name: A, value: b}]}, {name: more, image: app}]`,
		adapters, " sales-system,erp-system , sms-gateway,"), injected},
	{"ConfigMap and Secret of its own", written("", "annotations integration-sidecar/config", "my-policies", "annotations integration-sidecar/secret", "my-keys"), injected},
	{"volumes of its own", written(`volumes: [{name: data, emptyDir: {}}, {name: integration-sidecar-spool, persistentVolumeClaim: {claimName: letters}}]`), injected},
	{"token of the account", written(`serviceAccountName: integration-app, automountServiceAccountToken: true`), injected},
	{"as large as pods get", largePod, injected},
	{"a Job that must not be restarted", written(`restartPolicy: Never, activeDeadlineSeconds: 60`), injected},

	{"already injected", written(`initContainers: [{name: integration-sidecar, image: own, restartPolicy: Always}]`, adapters, "crm"), alone},
	{"opt-out", written("", ask, "false"), alone},
	{"no label", written("", ask, ""), alone},
	{"other namespace", written("", "namespace", plain, adapters, "crm"), alone},
	{"host network, not asked for", written(`hostNetwork: true`, ask, ""), alone},

	{"host network", written(`hostNetwork: true`), "a pod with hostNetwork: true gets no sidecar"},
	{"a container that is no sidecar", written(`containers: [{name: integration-sidecar, image: own}]`), "would start without its sidecar"},
	{"an init container that ends", written(`initContainers: [{name: integration-sidecar, image: own}]`), "would start without its sidecar"},
	{"adapters that are no names", written("", adapters, "Sales System"), "must be names of adapters"},
	{"an adapter twice", written("", adapters, "crm,crm"), "duplicate entries for key"},
}

// podsOfEveryShape admits each shape under the policies, and beside it, where there are none, what sidecar inject makes
// of it: both must be the same pod, byte for byte.
func podsOfEveryShape(t *testing.T, c *cluster) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			o := s.make(t)
			switch s.want {
			case injected:
				pod := c.mustCreate(t, c.podFrom(t, o), "dryRun=All")
				wantSidecarFirst(t, pod)
				beside := inject(t, o)
				set(beside, plain, "metadata", "namespace")
				wantSame(t, pod, c.mustCreate(t, c.podFrom(t, beside), "dryRun=All"))
				wantUnchanged(t, c, pod)
			case alone:
				pod := c.mustCreate(t, o, "dryRun=All")
				elsewhere := o.copied(t)
				set(elsewhere, plain, "metadata", "namespace")
				wantSame(t, pod, c.mustCreate(t, elsewhere, "dryRun=All"))
			default:
				status, answer := c.create(t, o, "dryRun=All")
				if status < 400 || !strings.Contains(answer.text("message"), s.want) {
					t.Errorf("answered %d %q, want a refusal with %q", status, answer.text("message"), s.want)
				}
			}
		})
	}
}

// podFrom does what a controller does: it makes the pod of a workload, as the server has completed it.
func (c *cluster) podFrom(t *testing.T, o object) object {
	t.Helper()
	if o.text("kind") == "Pod" {
		return o
	}
	o = c.mustCreate(t, o, "dryRun=All")
	template, _ := o.at("spec", "template").(map[string]any)
	if o.text("kind") == "CronJob" {
		template, _ = o.at("spec", "jobTemplate", "spec", "template").(map[string]any)
	}
	pod := object(template).copied(t)
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	set(pod, o.text("metadata", "namespace"), "metadata", "namespace")
	set(pod, o.text("metadata", "name")+"-", "metadata", "generateName")
	for _, claim := range o.list("spec", "volumeClaimTemplates") { // a claim takes precedence over a volume
		name := claim.text("metadata", "name")
		volumes := []any{map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + o.text("metadata", "name") + "-0"}}}
		for _, v := range pod.list("spec", "volumes") {
			if v.text("name") != name {
				volumes = append(volumes, map[string]any(v))
			}
		}
		set(pod, volumes, "spec", "volumes")
	}
	return pod
}

func wantSidecarFirst(t *testing.T, pod object) {
	t.Helper()
	inits := pod.list("spec", "initContainers")
	if len(sidecars(pod)) != 1 || inits[0].text("name") != "integration-sidecar" || inits[0].text("restartPolicy") != "Always" {
		t.Fatalf("the pod has %d sidecars, its init containers are %s", len(sidecars(pod)), marshal(t, inits))
	}
	volumes := map[string]int{}
	for _, v := range pod.list("spec", "volumes") {
		volumes[v.text("name")]++
	}
	for _, m := range inits[0].list("volumeMounts") {
		if volumes[m.text("name")] != 1 {
			t.Errorf("the pod has %d volumes %s", volumes[m.text("name")], m.text("name"))
		}
	}
}

// tokenVolume is a name that the server makes up for each pod.
var tokenVolume = regexp.MustCompile(`kube-api-access-[a-z0-9]+`)

// canonical is a pod's spec as text; the order of volumes says nothing, for they are found by name.
func canonical(t *testing.T, pod object) string {
	t.Helper()
	o := pod.copied(t)
	volumes := o.list("spec", "volumes")
	slices.SortFunc(volumes, func(a, b object) int {
		return strings.Compare(tokenVolume.ReplaceAllString(a.text("name"), ""), tokenVolume.ReplaceAllString(b.text("name"), ""))
	})
	set(o, volumes, "spec", "volumes")
	return tokenVolume.ReplaceAllString(string(marshal(t, o.at("spec"))), "kube-api-access")
}

func wantSame(t *testing.T, got, want object) {
	t.Helper()
	if g, w := canonical(t, got), canonical(t, want); g != w {
		t.Errorf("the pod in %s is\n%s\nthat in %s\n%s", got.text("metadata", "namespace"), g, want.text("metadata", "namespace"), w)
	}
}

// wantUnchanged creates the pod that came of it once more: nothing may be added.
func wantUnchanged(t *testing.T, c *cluster, pod object) {
	t.Helper()
	again := object{"apiVersion": "v1", "kind": "Pod", "spec": pod.copied(t)["spec"], "metadata": map[string]any{
		"name": "again", "namespace": pod.text("metadata", "namespace"), "labels": pod.at("metadata", "labels"), "annotations": pod.at("metadata", "annotations")}}
	wantSame(t, c.mustCreate(t, again, "dryRun=All"), pod)
}
