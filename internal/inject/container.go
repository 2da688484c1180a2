package inject

// The fields of the Kubernetes API that the sidecar uses, in the order in which they are written.

type container struct {
	Name            string          `yaml:"name"`
	Image           string          `yaml:"image"`
	RestartPolicy   string          `yaml:"restartPolicy"` // Always: a native sidecar, started before and stopped after the application
	Args            []string        `yaml:"args"`
	Env             []variable      `yaml:"env"`
	EnvFrom         []envSource     `yaml:"envFrom"`
	Ports           []port          `yaml:"ports"`
	StartupProbe    probe           `yaml:"startupProbe"`
	LivenessProbe   probe           `yaml:"livenessProbe"`
	ReadinessProbe  probe           `yaml:"readinessProbe"`
	Resources       resources       `yaml:"resources"`
	SecurityContext securityContext `yaml:"securityContext"`
	LastWords       string          `yaml:"terminationMessagePolicy"`
	VolumeMounts    []mount         `yaml:"volumeMounts"`
}

type variable struct {
	Name      string    `yaml:"name"`
	Value     string    `yaml:"value,omitempty"`
	ValueFrom *selector `yaml:"valueFrom,omitempty"`
}

type selector struct {
	FieldRef         *fieldRef    `yaml:"fieldRef,omitempty"`
	ResourceFieldRef *resourceRef `yaml:"resourceFieldRef,omitempty"`
}

type fieldRef struct {
	FieldPath string `yaml:"fieldPath"`
}

type resourceRef struct {
	ContainerName string `yaml:"containerName"`
	Resource      string `yaml:"resource"`
	Divisor       string `yaml:"divisor"`
}

type envSource struct {
	SecretRef secretRef `yaml:"secretRef"`
}

type secretRef struct {
	Name     string `yaml:"name"`
	Optional bool   `yaml:"optional"`
}

type port struct {
	Name          string `yaml:"name"`
	ContainerPort int    `yaml:"containerPort"`
	Protocol      string `yaml:"protocol"`
}

type probe struct {
	HTTPGet          httpGet `yaml:"httpGet"`
	PeriodSeconds    int     `yaml:"periodSeconds"`
	TimeoutSeconds   int     `yaml:"timeoutSeconds"`
	FailureThreshold int     `yaml:"failureThreshold"`
}

type httpGet struct {
	Path string `yaml:"path"`
	Port int    `yaml:"port"`
}

type resources struct {
	Requests map[string]string `yaml:"requests"`
	Limits   map[string]string `yaml:"limits"`
}

type securityContext struct {
	RunAsNonRoot             bool           `yaml:"runAsNonRoot"`
	RunAsUser                int            `yaml:"runAsUser"`
	RunAsGroup               int            `yaml:"runAsGroup"`
	ReadOnlyRootFilesystem   bool           `yaml:"readOnlyRootFilesystem"`
	AllowPrivilegeEscalation bool           `yaml:"allowPrivilegeEscalation"`
	Capabilities             capabilities   `yaml:"capabilities"`
	SeccompProfile           seccompProfile `yaml:"seccompProfile"`
}

type capabilities struct {
	Drop []string `yaml:"drop"`
}

type seccompProfile struct {
	Type string `yaml:"type"`
}

type mount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly,omitempty"`
}

type volume struct {
	Name      string           `yaml:"name"`
	ConfigMap *configMapVolume `yaml:"configMap,omitempty"`
	Secret    *secretFiles     `yaml:"secret,omitempty"`
	EmptyDir  *emptyDir        `yaml:"emptyDir,omitempty"`
}

type configMapVolume struct {
	Name string `yaml:"name"`
}

type secretFiles struct {
	SecretName string `yaml:"secretName"`
	Optional   bool   `yaml:"optional"`
}

type emptyDir struct {
	SizeLimit string `yaml:"sizeLimit"`
}

// user is the numeric user of the image, which has no other.
const user = 65532

// container is the sidecar with the parameters p: the one place where it is written.
func (p Params) container() container {
	return container{
		Name:          Container,
		Image:         p.Image,
		RestartPolicy: "Always",
		Args:          []string{"run", "--config", "/etc/sidecar/config/config.yaml"},
		Env:           environment(),
		EnvFrom:       []envSource{{secretRef{Name: p.Secret, Optional: true}}},
		Ports:         []port{{Name: "sidecar-probes", ContainerPort: probesPort, Protocol: "TCP"}},
		// The kubelet starts the application when the first readyz was answered; a sidecar takes milliseconds.
		StartupProbe:   probe{httpGet{"/readyz", probesPort}, 1, 1, 60},
		LivenessProbe:  probe{httpGet{"/livez", probesPort}, 10, 5, 3},
		ReadinessProbe: probe{httpGet{"/readyz", probesPort}, 5, 2, 2},
		Resources: resources{
			Requests: map[string]string{"cpu": p.CPU, "memory": p.Memory},
			Limits:   map[string]string{"memory": p.MemoryLimit}, // no CPU limit: throttling is latency for the application
		},
		SecurityContext: securityContext{
			RunAsNonRoot: true, RunAsUser: user, RunAsGroup: user, ReadOnlyRootFilesystem: true,
			Capabilities: capabilities{Drop: []string{"ALL"}}, SeccompProfile: seccompProfile{"RuntimeDefault"},
		},
		LastWords: "FallbackToLogsOnError",
		// Config and secrets are folders beside each other: no mount point can be made inside a read-only one. Whole
		// folders, for a subPath would never see a ConfigMap's update.
		VolumeMounts: []mount{
			{configVolume, "/etc/sidecar/config", true},
			{secretVolume, "/etc/sidecar/secrets", true},
			{spoolVolume, "/var/lib/sidecar/dlq", false},
		},
	}
}

// environment is what the pod tells the process of itself. Go is to stay at 95% of the memory limit: the limit in MiB,
// written as that many MB, for Kubernetes can append digits and not multiply.
func environment() []variable {
	return []variable{
		{Name: "POD_NAME", ValueFrom: &selector{FieldRef: &fieldRef{"metadata.name"}}},
		{Name: "POD_NAMESPACE", ValueFrom: &selector{FieldRef: &fieldRef{"metadata.namespace"}}},
		{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE)"},
		{Name: "MEMORY_LIMIT_MIB", ValueFrom: &selector{ResourceFieldRef: &resourceRef{Container, "limits.memory", "1Mi"}}},
		{Name: "GOMEMLIMIT", Value: "$(MEMORY_LIMIT_MIB)000000"},
	}
}

func (p Params) volumes() []volume {
	return []volume{
		{Name: configVolume, ConfigMap: &configMapVolume{p.Config}},
		{Name: secretVolume, Secret: &secretFiles{p.Secret, true}},
		{Name: spoolVolume, EmptyDir: &emptyDir{p.SpoolLimit}},
	}
}
