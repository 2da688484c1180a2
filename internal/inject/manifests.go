package inject

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Manifests returns the manifests in text with the sidecar in their pods, and what became of each workload. Documents
// in which nothing changes come back byte for byte.
func Manifests(text []byte, o Options) ([]byte, []Outcome, error) {
	if err := o.Params.check(); err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	var outcomes []Outcome
	var errs []error
	line := 0
	for _, d := range split(text) {
		done, said, err := injectDocument(d, line, o)
		if err != nil {
			errs = append(errs, err)
		}
		out.Write(done)
		outcomes = append(outcomes, said...)
		line += bytes.Count(d, []byte("\n"))
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	return out.Bytes(), outcomes, nil
}

// split cuts a stream before each document marker. At the first column only a marker can begin with three dashes.
func split(text []byte) [][]byte {
	var documents [][]byte
	start, at := 0, 0
	for line := range bytes.Lines(text) {
		if at > start && isMarker(line) {
			documents = append(documents, text[start:at])
			start = at
		}
		at += len(line)
	}
	return append(documents, text[start:])
}

func isMarker(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(bytes.TrimSpace(rest)) == 0 || rest[0] == ' ' || rest[0] == '\t')
}

// injectDocument does one document, which begins behind the given line of the stream.
func injectDocument(text []byte, line int, o Options) ([]byte, []Outcome, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, nil, fmt.Errorf("the document that begins on line %d: %w", line+1, err)
	}
	if root.Kind == 0 { // nothing but comments
		return text, nil, nil
	}
	outcomes, wanted := o.judge(workloads(root.Content[0]))
	if !wanted {
		return text, outcomes, nil
	}
	if usesAliases(&root) {
		if err := expand(&root); err != nil {
			return nil, nil, fmt.Errorf("the document that begins on line %d: %w", line+1, err)
		}
	}
	for i, w := range workloads(root.Content[0]) {
		if !outcomes[i].Injected {
			continue
		}
		if err := injectPod(w.pod, o.Params); err != nil {
			return nil, nil, fmt.Errorf("line %d: %s: %w", line+w.node.Line, w.name(), err)
		}
	}
	done, err := render(&root)
	if bytes.HasPrefix(text, []byte("---")) && err == nil {
		done = append([]byte("---\n"), done...)
	}
	return done, outcomes, err
}

func render(root *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return out.Bytes(), e.Close()
}

// workload is an object with a pod in it.
type workload struct {
	node *yaml.Node // the object
	pod  *yaml.Node // the mapping with the pod's metadata and spec
}

// podPaths say where the pod of each kind is.
var podPaths = map[string][]string{
	"Pod":                   {},
	"PodTemplate":           {"template"},
	"Deployment":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"ReplicationController": {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
}

// workloads finds the pods of an object, which may be a list of objects.
func workloads(object *yaml.Node) []workload {
	kind := text(get(object, "kind"))
	if strings.HasSuffix(kind, "List") {
		var found []workload
		if items := get(object, "items"); items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				found = append(found, workloads(item)...)
			}
		}
		return found
	}
	path, known := podPaths[kind]
	if !known {
		return nil
	}
	pod := object
	for _, key := range path {
		pod = get(pod, key)
	}
	if pod == nil || pod.Kind != yaml.MappingNode {
		return nil
	}
	return []workload{{object, pod}}
}

func (w workload) name() string {
	metadata := get(w.node, "metadata")
	name := cmp.Or(text(get(metadata, "name")), text(get(metadata, "generateName")), "without a name")
	return strings.ToLower(text(get(w.node, "kind"))) + "/" + name
}
