package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/fsm-integrations/sidecar/internal/jsonbody"
)

// Load reads and parses a file. Its error is Faults, also when the file cannot be read.
func Load(path string) (*Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, Faults{{File: path, Message: "cannot be read: " + err.Error()}}
	}
	return Parse(path, data)
}

// Files are the paths of a configuration file and of all files it names that are read with it, also of those that could
// not be read, and also when the configuration is not valid.
func Files(path string) []string {
	files := jsonbody.NewFiles(filepath.Dir(path))
	if data, err := os.ReadFile(path); err == nil {
		_, _ = parseWith(files, path, data) // its faults are for who loads it
	}
	return append([]string{path}, files.Touched()...)
}

// Parse reads a document. file is its name in faults, and the place that relative paths in it start from. The error is
// Faults: every fault, in the order of the file.
func Parse(file string, data []byte) (*Document, error) {
	return parseWith(jsonbody.NewFiles(filepath.Dir(file)), file, data)
}

func parseWith(files *jsonbody.Files, file string, data []byte) (*Document, error) {
	faults, warnings := &collector{file: file}, &collector{file: file}
	root := read(data, faults)
	if root == nil {
		return nil, ordered(faults.list)
	}
	var written documentShape
	fill(reflect.ValueOf(&written).Elem())
	decoder{faults}.block(root, reflect.ValueOf(&written).Elem(), "", false)
	r := resolver{root: root, written: &written, files: files, faults: faults, warnings: warnings}
	doc := r.document()
	if len(faults.list) > 0 {
		return nil, ordered(faults.list)
	}
	doc.Warnings = ordered(warnings.list)
	return doc, nil
}

// resolver makes the document of what is written.
type resolver struct {
	root             *node
	written          *documentShape
	files            *jsonbody.Files
	faults, warnings *collector
}

func (r *resolver) document() *Document {
	w := r.written
	doc := &Document{
		File: r.faults.file, Listen: w.Listen, Drain: w.Drain, Redis: w.Redis, Telemetry: w.Telemetry, Vault: w.Vault, DLQ: w.DLQ,
		root: r.root, scopes: map[string]*scope{},
	}
	if adapters := r.root.get("adapters"); adapters != nil {
		for _, e := range adapters.entries {
			doc.Adapters = append(doc.Adapters, r.adapter(doc, e))
		}
	}
	r.checkDocument(doc)
	return doc
}

func (r *resolver) adapter(doc *Document, e entry) *Adapter {
	w, path := r.written.Adapters[e.key], "adapters."+e.key
	a := &Adapter{Name: e.key, ID: w.ID, Version: w.Version, Listen: w.Listen}
	if a.ID == "" {
		a.ID = a.Name
	}
	s := &scope{path: path, home: &node{line: e.line, column: e.column}}
	s.merged = merge(settingsType, pick(settingsType, r.root.get("defaults")), pick(settingsType, e.value))
	a.Settings = s.settle(r.files, r.faults, r.warnings)
	doc.scopes[a.Name] = s
	r.checkAdapter(a, w, e.value, s)
	if ops := e.value.get("operations"); ops != nil {
		for i := range min(len(w.Operations), len(ops.items)) {
			r.operation(doc, a, s, ops.items[i], i)
		}
	}
	return a
}

func (r *resolver) operation(doc *Document, a *Adapter, outer *scope, n *node, i int) {
	m := r.written.Adapters[a.Name].Operations[i].Match
	op := &Operation{Name: "* " + m.Path, Method: m.Method, Path: m.Path}
	if m.Method != "" {
		op.Name = m.Method + " " + m.Path
	}
	s := &scope{path: item(outer.path+".operations", i), home: n}
	s.merged = merge(settingsType, outer.merged, pick(callType, n))
	op.Settings = s.settle(r.files, r.faults, r.warnings)
	r.checkMatch(m, n, s.path)
	r.checkAutoReplay(op.Settings, s)
	if m.Path != "" && slices.ContainsFunc(a.Operations, func(o *Operation) bool { return o.Name == op.Name }) {
		r.faults.add(n, s.path+".match", op.Name+" is matched by an operation above already")
	}
	a.Operations = append(a.Operations, op)
	doc.scopes[a.Name+" "+op.Name] = s
}
