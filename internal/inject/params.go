package inject

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Params are what differs from cluster to cluster: the keys of the ConfigMap that the admission policy reads, and that
// `sidecar inject --params` reads too. What it leaves out has the value of Defaults.
type Params struct {
	Image       string `yaml:"image" doc:"the sidecar's image; a digest pins it"`
	CPU         string `yaml:"cpu" pattern:"quantity" doc:"CPU it requests; it has no limit"`
	Memory      string `yaml:"memory" pattern:"quantity" doc:"memory it requests"`
	MemoryLimit string `yaml:"memoryLimit" pattern:"quantity" doc:"memory it may use; the Go runtime stays at 95% of it"`
	Config      string `yaml:"config" pattern:"name" doc:"ConfigMap in the pod's namespace, with the policies as config.yaml"`
	Secret      string `yaml:"secret" pattern:"name" doc:"Secret in the pod's namespace; its keys are environment and files, it may be absent"`
	SpoolLimit  string `yaml:"spoolLimit" pattern:"quantity" doc:"size of the emptyDir for letters and keys: over three times dlq.max_bytes"`
}

// Defaults are the parameters of a cluster that says nothing.
func Defaults() Params {
	return Params{Image: "integration-sidecar:dev", CPU: "20m", Memory: "32Mi", MemoryLimit: "128Mi",
		Config: "integration-policies", Secret: "integration-credentials", SpoolLimit: "4Gi"}
}

var patterns = map[string]*regexp.Regexp{
	"quantity": regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$`),
	"name":     regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`),
}

// ParseParams reads the ConfigMap of the parameters.
func ParseParams(text []byte) (Params, error) {
	var m struct {
		Kind string            `yaml:"kind"`
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal(text, &m); err != nil {
		return Params{}, fmt.Errorf("read the parameters: %w", err)
	}
	if m.Kind != "ConfigMap" {
		return Params{}, fmt.Errorf("read the parameters: the kind is %q, not ConfigMap", m.Kind)
	}
	p := Defaults()
	fields := reflect.ValueOf(&p).Elem()
	for key, value := range m.Data {
		i := slices.Index(paramKeys(), key)
		if i < 0 {
			return Params{}, fmt.Errorf("unknown parameter %q; there are %s", key, strings.Join(paramKeys(), ", "))
		}
		fields.Field(i).SetString(value)
	}
	return p, p.check()
}

// paramKeys are the keys in the ConfigMap, in the order of the fields.
func paramKeys() []string {
	keys := make([]string, reflect.TypeFor[Params]().NumField())
	for i := range keys {
		keys[i] = reflect.TypeFor[Params]().Field(i).Tag.Get("yaml")
	}
	return keys
}

func (p Params) check() error {
	for i, key := range paramKeys() {
		value := reflect.ValueOf(p).Field(i).String()
		kind := reflect.TypeFor[Params]().Field(i).Tag.Get("pattern")
		switch {
		case strings.TrimSpace(value) == "":
			return fmt.Errorf("parameter %s is empty", key)
		case kind != "" && !patterns[kind].MatchString(value):
			return fmt.Errorf("parameter %s: %q is no %s that Kubernetes takes", key, value, kind)
		}
	}
	return nil
}

// of are the parameters of one pod: its annotations may name a ConfigMap and a Secret of its own.
func (p Params) of(annotations map[string]string) (Params, error) {
	if name, said := annotations[ConfigAnnotation]; said {
		p.Config = name
	}
	if name, said := annotations[SecretAnnotation]; said {
		p.Secret = name
	}
	return p, p.check()
}

// adapterName is what the configuration takes as one.
var adapterName = regexp.MustCompile(adapterPattern)

const adapterPattern = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

// baseURLs are the variables for the adapters that a pod names: SALES_SYSTEM_URL for sales-system.
func baseURLs(annotation string) ([]variable, error) {
	var list []variable
	for name := range strings.SplitSeq(annotation, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !adapterName.MatchString(name) {
			return nil, fmt.Errorf("annotation %s: %q is no name of an adapter", AdaptersAnnotation, name)
		}
		v := variable{Name: strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_URL", Value: baseURL + name}
		if slices.Contains(list, v) {
			return nil, fmt.Errorf("annotation %s names %s twice", AdaptersAnnotation, name)
		}
		list = append(list, v)
	}
	return list, nil
}
