package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong, or doubtful, at one place of a document.
type Fault struct {
	File    string // as it was given to Parse or Load
	Line    int    // from 1; 0 when the fault is the file's as a whole
	Column  int    // from 1, in characters
	Path    string // dotted, such as adapters.sales-system.retry.max_retries; empty for the document
	Message string // what is wrong and what is allowed; never a literal secret
}

// Error is file:line:column: path: what is wrong, what is allowed.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Faults are all faults of a document, in the order of the file. As an error it prints one per line.
type Faults []Fault

// Error is one line per fault, without a last newline.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// collector gathers faults while a document is read.
type collector struct {
	file string
	list Faults
}

func (c *collector) add(n *node, path, message string) {
	c.addAt(n.line, n.column, path, message)
}

func (c *collector) addAt(line, column int, path, message string) {
	c.list = append(c.list, Fault{File: c.file, Line: line, Column: column, Path: path, Message: message})
}

// touches reports whether a fault was found at path or below it.
func (c *collector) touches(path string) bool {
	return slices.ContainsFunc(c.list, func(f Fault) bool {
		rest, below := strings.CutPrefix(f.Path, path)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// ordered sorts by position and keeps the first of those that say the same about the same place: a fault in `defaults`
// is met again in every adapter that inherits it.
func ordered(list Faults) Faults {
	type place struct {
		line, column int
		message      string
	}
	seen := make(map[place]bool, len(list))
	var out Faults
	for _, f := range list {
		if p := (place{f.Line, f.Column, f.Message}); !seen[p] {
			seen[p] = true
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return out
}

// join appends a key to a dotted path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// item appends an index to a dotted path.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
