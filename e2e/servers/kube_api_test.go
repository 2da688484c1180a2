//go:build e2e

package servers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// object is anything the Kubernetes API keeps.
type object map[string]any

// kind is how the API serves one kind.
type kind struct {
	resources  string // path of its collection, below its group's
	namespaced bool
}

// at reads a value by keys; nil when it is not there.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func (o object) text(path ...string) string { s, _ := o.at(path...).(string); return s }

// list reads a list of objects.
func (o object) list(path ...string) []object {
	raw, _ := o.at(path...).([]any)
	found := make([]object, 0, len(raw))
	for _, v := range raw {
		if m, ok := v.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

func (o object) String() string {
	return fmt.Sprintf("%s %s/%s", o.text("kind"), o.text("metadata", "namespace"), o.text("metadata", "name")+o.text("metadata", "generateName"))
}

// copied is a copy that shares nothing.
func (o object) copied(t *testing.T) object {
	t.Helper()
	return parseObjects(t, marshal(t, o))[0]
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return text
}

// parseObjects reads a stream of YAML documents.
func parseObjects(t *testing.T, text []byte) []object {
	t.Helper()
	var found []object
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var raw map[string]any
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return found
		}
		must(t, err)
		if len(raw) > 0 {
			found = append(found, raw)
		}
	}
}

// try makes one request; body may be nil.
func (c *cluster) try(method, path, contentType string, body []byte) (int, object, error) {
	r, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+clusterToken)
	r.Header.Set("Accept", "application/json")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := c.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var o object
	if json.Unmarshal(text, &o) != nil { // /readyz answers text
		o = object{"message": string(text)}
	}
	if warnings := response.Header.Values("Warning"); len(warnings) > 0 && o != nil {
		o["warnings"] = strings.Join(warnings, "\n") // a field of ours
	}
	return response.StatusCode, o, nil
}

// path is where the API keeps objects of o's kind, in o's namespace.
func (c *cluster) path(t *testing.T, o object) string {
	t.Helper()
	version := o.text("apiVersion")
	base := "/apis/" + version
	if !strings.Contains(version, "/") {
		base = "/api/" + version
	}
	name := version + "/" + o.text("kind")
	if _, known := c.kinds[name]; !known {
		_, resources, err := c.try(http.MethodGet, base, "", nil)
		must(t, err)
		for _, r := range resources.list("resources") {
			if r.text("kind") == o.text("kind") && !strings.Contains(r.text("name"), "/") {
				c.kinds[name] = kind{r.text("name"), r.at("namespaced") == true}
			}
		}
	}
	k, known := c.kinds[name]
	if !known {
		t.Fatalf("the API server knows no %s", name)
	}
	if k.namespaced {
		namespace := o.text("metadata", "namespace")
		if namespace == "" {
			namespace = "default"
		}
		base += "/namespaces/" + namespace
	}
	return base + "/" + k.resources
}

// apply is kubectl apply --server-side with strict validation; query may add dryRun=All.
func (c *cluster) apply(t *testing.T, o object, query ...string) (int, object) {
	t.Helper()
	path := c.path(t, o) + "/" + o.text("metadata", "name") + "?fieldManager=e2e&force=true&fieldValidation=Strict"
	status, answer, err := c.try(http.MethodPatch, strings.Join(append([]string{path}, query...), "&"), "application/apply-patch+yaml", marshal(t, o))
	must(t, err)
	return status, answer
}

func (c *cluster) mustApply(t *testing.T, objects ...object) {
	t.Helper()
	for _, o := range objects {
		if status, answer := c.apply(t, o); status >= 300 {
			t.Fatalf("apply %s: %d %s", o, status, answer.text("message"))
		}
	}
}

// create is kubectl create; query may be dryRun=All.
func (c *cluster) create(t *testing.T, o object, query ...string) (int, object) {
	t.Helper()
	status, answer, err := c.try(http.MethodPost, c.path(t, o)+"?"+strings.Join(append([]string{"fieldValidation=Strict"}, query...), "&"), "application/json", marshal(t, o))
	must(t, err)
	return status, answer
}

// mustCreate creates an object, and returns what the server has made of it.
func (c *cluster) mustCreate(t *testing.T, o object, query ...string) object {
	t.Helper()
	status, answer := c.create(t, o, query...)
	if status >= 300 {
		t.Fatalf("create %s: %d %s", o, status, answer.text("message"))
	}
	return answer
}

func (c *cluster) remove(t *testing.T, o object) {
	t.Helper()
	status, answer, err := c.try(http.MethodDelete, c.path(t, o)+"/"+o.text("metadata", "name"), "", nil)
	must(t, err)
	if status >= 300 {
		t.Fatalf("delete %s: %d %s", o, status, answer.text("message"))
	}
}
