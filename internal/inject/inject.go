// Package inject puts the sidecar into pods: what its container and volumes look like, and how they get into Kubernetes
// manifests.
//
// The container is written once, in container.go. `sidecar inject` writes it into manifests. The admission policies and
// the kustomize component in k8s/ are rendered from it by this package's tests (go test ./internal/inject -update), so
// that a pod gets the same sidecar, whichever way it comes.
//
// Manifests are handled as YAML nodes: what is not the sidecar's keeps its order and its comments, and documents that
// need no sidecar stay as they are, byte for byte.
package inject

// Container is the name of the sidecar among the pod's init containers.
const Container = "integration-sidecar"

// What a pod says about itself. The label also stands on namespaces in which the admission policies apply.
const (
	Label              = "integration-sidecar/inject"   // "true": this pod gets a sidecar
	AdaptersAnnotation = "integration-sidecar/adapters" // names of adapters whose base URLs the other containers get
	ConfigAnnotation   = "integration-sidecar/config"   // ConfigMap with config.yaml, instead of the parameter
	SecretAnnotation   = "integration-sidecar/secret"   // Secret with what the policies name, instead of the parameter
)

// The volumes. One that the pod brings itself under such a name is used as it is: that is how a spool is given a claim.
const (
	configVolume = "integration-sidecar-config"
	secretVolume = "integration-sidecar-secret"
	spoolVolume  = "integration-sidecar-spool"
)

// baseURL is where the sidecar serves the application: listen.proxy, as it is built in.
const baseURL = "http://127.0.0.1:8080/"

// probesPort is where it answers the kubelet and Prometheus: listen.probes, as it is built in.
const probesPort = 9902

// leastGrace is what the pod has unless it says otherwise, in seconds: the built-in drain and the time to close.
const leastGrace = 30

const graceAdvice = "terminationGracePeriodSeconds is less than 30: the sidecar drains for up to 25s after the application " +
	"has ended, unless its configuration says otherwise"

// Options say how Manifests does it.
type Options struct {
	Params Params
	All    bool // also pods without the label, but not those that say "false"
}

// Outcome is what became of one workload.
type Outcome struct {
	Workload string // kind/name
	Injected bool
	Reason   string // why it was left alone
	Advice   string // what is doubtful about it all the same, if anything
}
