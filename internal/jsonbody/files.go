package jsonbody

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxSchema is the largest schema file, in bytes.
const maxSchema = 1 << 20

// Files loads schemas for one configuration. Each is read once, however many adapters name it.
type Files struct {
	dir     string // of the configuration file, which relative paths start from
	loaded  map[string]loaded
	touched []string
}

type loaded struct {
	schema *Schema
	err    error
}

// NewFiles returns a loader for a configuration in dir.
func NewFiles(dir string) *Files { return &Files{dir: dir, loaded: map[string]loaded{}} }

// Touched are the paths of all files that were asked for, also of those that could not be read, without order.
func (f *Files) Touched() []string { return slices.Clone(f.touched) }

// Schema loads the schema at a path. Its error begins with a verb and names files as the configuration or the schema does.
func (f *Files) Schema(path string) (*Schema, error) {
	full := path
	if !filepath.IsAbs(path) {
		full = filepath.Join(f.dir, path)
	}
	if known, ok := f.loaded[full]; ok {
		return known.schema, known.err
	}
	schema, err := f.load(full)
	f.loaded[full] = loaded{schema, err}
	return schema, err
}

// scheme is that of the names of files to each other: the directory of the schema is their root, and there is no way
// out of it.
const scheme = "beside"

func (f *Files) load(full string) (*Schema, error) {
	f.touched = append(f.touched, full)
	root, err := os.OpenRoot(filepath.Dir(full))
	if err != nil {
		return nil, unreadable(filepath.Base(full), err)
	}
	defer root.Close()
	beside := &loader{files: f, root: root, dir: filepath.Dir(full)}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat() // what looks like a rule is one
	compiler.UseLoader(beside)
	name := (&url.URL{Scheme: scheme, Path: "/" + filepath.Base(full)}).String()
	compiled, err := compiler.Compile(name)
	switch {
	case beside.failed != nil:
		return nil, beside.failed
	case err != nil:
		return nil, notASchema(err)
	}
	return &Schema{compiled: compiled}, nil
}

// loader reads the files that a schema consists of.
type loader struct {
	files  *Files
	root   *os.Root
	dir    string
	failed error // the first, in our words
}

// Load implements jsonschema.URLLoader.
func (l *loader) Load(location string) (any, error) {
	value, err := l.read(location)
	if err != nil && l.failed == nil {
		l.failed = err
	}
	return value, err
}

func (l *loader) read(location string) (any, error) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != scheme {
		return nil, fmt.Errorf("refers to %s, which is not loaded: a schema may refer to files beside it only, by names without a scheme", brief(location))
	}
	name := filepath.FromSlash(strings.TrimPrefix(u.Path, "/"))
	if full := filepath.Join(l.dir, name); filepath.IsLocal(name) && !slices.Contains(l.files.touched, full) {
		l.files.touched = append(l.files.touched, full)
	}
	content, err := l.content(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(content)))
	if err != nil {
		return nil, fmt.Errorf("is not a JSON Schema: %s is not JSON%s", name, lineOf(content, err))
	}
	return value, nil
}

// content reads a regular file: opening a pipe would wait for its writer.
func (l *loader) content(name string) ([]byte, error) {
	info, err := l.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	file, err := l.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSchema+1))
	if err == nil && len(content) > maxSchema {
		err = fmt.Errorf("it is larger than %d bytes", maxSchema)
	}
	return content, err
}

func unreadable(name string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("cannot be read: %s: %w", name, err)
}
