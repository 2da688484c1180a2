package inject

import (
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"
)

// node is v as YAML.
func node(v any) (*yaml.Node, error) {
	n := new(yaml.Node)
	if err := n.Encode(v); err != nil {
		return nil, fmt.Errorf("render the sidecar: %w", err)
	}
	return n, nil
}

// get is the value of a key, nil when m is no mapping or has none.
func get(m *yaml.Node, key string) *yaml.Node {
	if m = target(m); m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return target(m.Content[i+1])
		}
	}
	return nil
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// text is the value of a scalar, "" of anything else.
func text(n *yaml.Node) string {
	if n = target(n); n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// texts is the mapping at a path, as strings.
func texts(n *yaml.Node, path ...string) map[string]string {
	for _, key := range path {
		n = get(n, key)
	}
	found := map[string]string{}
	if n == nil || n.Kind != yaml.MappingNode {
		return found
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		found[n.Content[i].Value] = text(n.Content[i+1])
	}
	return found
}

// named is the element of a list whose name is the given one.
func named(list *yaml.Node, name string) *yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	for _, element := range list.Content {
		if text(get(element, "name")) == name {
			return element
		}
	}
	return nil
}

// sequence is the list of a key, which is made when there is none, or nothing in it.
func sequence(m *yaml.Node, key string) *yaml.Node {
	n := get(m, key)
	if n == nil {
		n = new(yaml.Node)
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, n)
	}
	if len(n.Content) == 0 { // also null and []
		*n = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", HeadComment: n.HeadComment, LineComment: n.LineComment, FootComment: n.FootComment}
	}
	return n
}

// maxNodes bounds what aliases may grow a document to.
const maxNodes = 200_000

func usesAliases(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return true
	}
	for _, child := range n.Content {
		if usesAliases(child) {
			return true
		}
	}
	return false
}

// expand replaces aliases by what they stand for: a change of one place must not change the others.
func expand(n *yaml.Node) error {
	left := maxNodes
	return expandWithin(n, &left, 0)
}

const maxDepth = 200

func expandWithin(n *yaml.Node, left *int, depth int) error {
	if *left--; *left < 0 || depth > maxDepth {
		return errors.New("its aliases make it too large")
	}
	n.Anchor = ""
	for i, child := range n.Content {
		if child.Tag == "!!merge" {
			return fmt.Errorf("line %d: a merge key (<<); write out what it stands for", child.Line)
		}
		if child.Kind == yaml.AliasNode {
			c := *child.Alias
			c.Content = append([]*yaml.Node(nil), child.Alias.Content...)
			child = &c
		} else {
			c := *child
			c.Content = append([]*yaml.Node(nil), child.Content...)
			child = &c
		}
		n.Content[i] = child
		if err := expandWithin(child, left, depth+1); err != nil {
			return err
		}
	}
	return nil
}
