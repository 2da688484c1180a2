package inject

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// celMark begins a value that is a CEL expression and no text.
const celMark = "cel:"

// expressions are the parameters as the policy's expressions say them.
func expressions() Params {
	return Params{Image: celMark + "variables.image", CPU: celMark + "variables.cpu", Memory: celMark + "variables.memory",
		MemoryLimit: celMark + "variables.memoryLimit", Config: celMark + "variables.config", Secret: celMark + "variables.secret",
		SpoolLimit: celMark + "variables.spoolLimit"}
}

// inCEL writes v as an object of the given CEL type, its further lines indented by margin.
func inCEL(t *testing.T, v any, kind, margin string) string {
	t.Helper()
	n, err := node(v)
	if err != nil {
		t.Fatal(err)
	}
	return celOf(n, kind, margin)
}

// celMaps are the fields whose keys are the user's and no fields.
var celMaps = map[string]bool{"requests": true, "limits": true}

func celOf(n *yaml.Node, kind, margin string) string {
	inner := margin + "  "
	var parts []string
	switch n.Kind {
	case yaml.MappingNode:
		asMap := celMaps[kind[strings.LastIndexByte(kind, '.')+1:]]
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			value := celOf(n.Content[i+1], kind+"."+key, inner)
			if asMap {
				key = strconv.Quote(key)
			}
			parts = append(parts, key+": "+value)
		}
		if asMap {
			return enclose("{", parts, "}", margin)
		}
		return enclose(kind+"{", parts, "}", margin)
	case yaml.SequenceNode:
		for _, element := range n.Content {
			parts = append(parts, celOf(element, kind, inner))
		}
		return enclose("[", parts, "]", margin)
	default:
		return celScalar(n)
	}
}

func celScalar(n *yaml.Node) string {
	if n.Tag != "!!str" {
		return n.Value
	}
	if expression, found := strings.CutPrefix(n.Value, celMark); found {
		return expression
	}
	return strconv.Quote(n.Value)
}

// enclose writes the parts on one line if that is short, else each on its own.
func enclose(open string, parts []string, end, margin string) string {
	line := open + strings.Join(parts, ", ") + end
	if len(line)+len(margin) <= 100 && !strings.Contains(line, "\n") {
		return line
	}
	return open + "\n" + margin + "  " + strings.Join(parts, ",\n"+margin+"  ") + "\n" + margin + end
}

const adaptersInCEL = `variables.annotations[?"integration-sidecar/adapters"].orValue("").split(",").map(a, a.trim()).filter(a, a != "")`

// urlsInCEL says what baseURLs says.
func urlsInCEL() string {
	return adaptersInCEL + fmt.Sprintf(`.map(a, {"name": a.replace("-", "_").upperAscii() + "_URL", "value": %q + a})`, baseURL)
}
