package config

import "slices"

type kind int

const (
	scalar kind = iota
	mapping
	sequence
)

// node is a YAML value with aliases and merge keys already expanded, so that everything after parsing meets plain
// trees only. A mapping or sequence stands where its key stands, a scalar where its own text begins.
type node struct {
	kind         kind
	tag          string // of a scalar: !!str, !!int, !!float, !!bool, !!null or !!timestamp
	text         string // of a scalar
	line, column int
	entries      []entry // of a mapping, in file order
	items        []*node // of a sequence
}

// entry is one key of a mapping, its value, and where the key stands.
type entry struct {
	key          string
	line, column int
	value        *node
}

// get is the value of a key, nil when n is no mapping or lacks it.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	if i := slices.IndexFunc(n.entries, func(e entry) bool { return e.key == key }); i >= 0 {
		return n.entries[i].value
	}
	return nil
}

// nearest follows keys as deep as they are set. depth is how many of them were found.
func (n *node) nearest(keys []string) (found *node, depth int) {
	for _, key := range keys {
		next := n.get(key)
		if next == nil {
			return n, depth
		}
		n, depth = next, depth+1
	}
	return n, depth
}

// is reports whether n is that bare or quoted word.
func (n *node) is(word string) bool { return n.kind == scalar && n.text == word }

// isNull reports whether nothing stands there.
func (n *node) isNull() bool { return n.kind == scalar && n.tag == "!!null" }

// describe says what stands there without repeating it: it might be a secret.
func (n *node) describe() string {
	switch n.kind {
	case mapping:
		return "is a block of keys"
	case sequence:
		return "is a list"
	}
	switch n.tag {
	case "!!null":
		return "is empty"
	case "!!bool":
		return "is true or false"
	case "!!int", "!!float":
		return "is a number"
	case "!!timestamp":
		return "is a date"
	}
	return "is text"
}
