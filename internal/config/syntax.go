package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFile is far beyond any real document; a ConfigMap ends at 1 MiB.
const maxFile = 1 << 20

// read turns the text of a document into a tree. It returns nil when there is none to look at.
func read(data []byte, c *collector) *node {
	if len(data) > maxFile {
		c.addAt(1, 1, "", fmt.Sprintf("is larger than %d bytes", maxFile))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		c.addAt(1, 1, "", "is empty; a document needs at least adapters"+sample("adapters"))
		return nil
	} else if err != nil {
		c.syntax(data, err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		c.addAt(second.Line, max(second.Column, 1), "", "begins a second document, which would be ignored; keep one document per file")
	} else if !errors.Is(err, io.EOF) {
		c.syntax(data, err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		c.addAt(1, 1, "", "is empty; a document needs at least adapters"+sample("adapters"))
		return nil
	}
	b := &builder{collector: c, open: map[*yaml.Node]bool{}}
	n := b.build(root, "", 0)
	if b.full { // half a tree would only be blamed for what it lacks
		return nil
	}
	return n
}

// syntax reports what the parser stumbled over, and where.
func (c *collector) syntax(data []byte, err error) {
	line := syntaxLine(data, err)
	text := slices.Collect(bytes.Lines(data))[line-1]
	c.addAt(line, 1, "", syntaxMessage(err, strings.TrimRight(string(text), "\r\n")))
}

var (
	tabbed   = regexp.MustCompile(`^ *\t`)
	unquoted = regexp.MustCompile("(^|[ \t])([\\w.-]+:|-) +(\\$?\\{[\\w:-]+\\}|:\\d|[@`%]|[^\"'{\\[#&|>\\s][^#]*:( |$))|\\$\\{|[{,\\[] *:\\d")
)

var yamlPrefix = regexp.MustCompile(`^yaml: (line \d+: )?`)

// syntaxMessage is the parser's complaint about a line, and what is usually meant by it. An anchor's name is left out: a literal secret that begins with * is read
// as one.
func syntaxMessage(err error, line string) string {
	if tabbed.MatchString(line) {
		return "is not YAML: a tab; indent with spaces"
	}
	text := yamlPrefix.ReplaceAllString(err.Error(), "")
	if strings.HasPrefix(text, "unknown anchor") {
		text = "an alias (a value that begins with *) refers to an anchor that is not defined above it; quote the value if it is none"
	} else if unquoted.MatchString(line) {
		text += "; quote values that begin with {, :, $, @, % or ` or hold ': '"
	}
	return "is not YAML: " + text
}

// syntaxLine is the line of a syntax error. yaml.v3 gives the line of the block around the error, counts it from 0 or
// from 1, or gives none; so this looks for the shortest beginning of the file that fails in the same way.
func syntaxLine(data []byte, want error) int {
	lines := slices.Collect(bytes.Lines(data))
	ends := make([]int, len(lines)+1)
	for i, l := range lines {
		ends[i+1] = ends[i] + len(l)
	}
	n := sort.Search(len(lines), func(i int) bool {
		err := parses(data[:ends[i+1]])
		return err != nil && err.Error() == want.Error()
	})
	return min(n, len(lines)-1) + 1
}

func parses(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
