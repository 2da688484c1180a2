package config

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

const (
	maxNodes = 100_000 // after aliases are expanded: a few lines of nested aliases would otherwise fill the memory
	maxDepth = 64
)

// builder turns the parser's nodes into plain trees and reports what YAML allows and we do not.
type builder struct {
	*collector
	count int
	open  map[*yaml.Node]bool // anchors being expanded, to notice one that holds itself
	full  bool
}

// build returns nil when there is nothing usable at y; a fault has been reported then.
func (b *builder) build(y *yaml.Node, path string, depth int) *node {
	if b.full {
		return nil
	}
	if b.count++; b.count > maxNodes || depth > maxDepth {
		b.full = true
		b.addAt(y.Line, y.Column, path, fmt.Sprintf("grows too large here; a document may hold %d values, counted after aliases are expanded, nested %d deep", maxNodes, maxDepth))
		return nil
	}
	n := &node{line: y.Line, column: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(y, path, depth)
	case yaml.MappingNode:
		n.kind = mapping
		b.mapping(n, y, path, depth)
	case yaml.SequenceNode:
		n.kind = sequence
		for i, c := range y.Content {
			if v := b.build(c, item(path, i), depth+1); v != nil {
				n.items = append(n.items, v)
			}
		}
	default:
		n.tag, n.text = y.ShortTag(), y.Value
	}
	if !knownTag(y.ShortTag()) {
		b.add(n, path, "carries a YAML tag, which is not understood here; remove it")
		return nil
	}
	return n
}

func knownTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq", "!!merge":
		return true
	}
	return false
}

func (b *builder) alias(y *yaml.Node, path string, depth int) *node {
	if b.open[y.Alias] {
		b.addAt(y.Line, y.Column, path, "is an alias of a block that holds it, which has no end")
		return nil
	}
	b.open[y.Alias] = true
	defer delete(b.open, y.Alias)
	return b.build(y.Alias, path, depth+1)
}

func (b *builder) mapping(n *node, y *yaml.Node, path string, depth int) {
	var merged []*yaml.Node
	lines := make(map[string]int, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch first, twice := lines[k.Value]; {
		case k.ShortTag() == "!!merge":
			merged = append(merged, v)
		case k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null" || !knownTag(k.ShortTag()):
			b.addAt(k.Line, k.Column, path, "has a key that is not a word")
		case twice:
			b.addAt(k.Line, k.Column, join(path, k.Value), fmt.Sprintf("is set twice; the first is on line %d", first))
		default:
			lines[k.Value] = k.Line
			if value := b.build(v, join(path, k.Value), depth+1); value != nil {
				n.entries = append(n.entries, placed(k, value))
			}
		}
	}
	for _, v := range merged {
		b.merge(n, v, path, depth)
	}
}

// placed moves a block to its key: yaml.v3 says a block begins at its first key, one line too low for a reader.
func placed(k *yaml.Node, value *node) entry {
	if value.kind != scalar || value.tag == "!!null" {
		value.line, value.column = k.Line, k.Column
	}
	return entry{key: k.Value, line: k.Line, column: k.Column, value: value}
}

// merge adds what n lacks from the value of a merge key (`<<: *anchor`, or a list of such).
func (b *builder) merge(n *node, y *yaml.Node, path string, depth int) {
	v := b.build(y, path, depth+1)
	if v == nil {
		return
	}
	sources := []*node{v}
	if v.kind == sequence {
		sources = v.items
	}
	for _, s := range sources {
		if s.kind != mapping {
			b.addAt(y.Line, y.Column, path, "merges something that is not a block of keys; write <<: *anchor")
			continue
		}
		for _, e := range s.entries {
			if n.get(e.key) == nil {
				n.entries = append(n.entries, e)
			}
		}
	}
}
