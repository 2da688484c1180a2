package policy

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fsm-integrations/sidecar/dlq"
)

// Target fills the path for a letter. An error says which part of the call is missing, or cannot stand in a path.
func (c *Reconcile) Target(l *dlq.Letter) (string, error) {
	parts, err := parseLookup(c.Path)
	if err != nil {
		return "", fmt.Errorf("reconcile.path %w", err)
	}
	var b strings.Builder
	for _, p := range parts {
		if p.source == "" {
			b.WriteString(p.text)
			continue
		}
		value := p.value(l)
		if value == "" || value == "." || strings.Contains(value, "..") {
			return "", fmt.Errorf("the call has no {%s} that can stand in a path", p.name())
		}
		b.WriteString(escapeLookup(value))
	}
	return b.String(), nil
}

// escapeLookup makes a value fit for a path segment as well as for a query.
func escapeLookup(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// lookupPart is literal text, or a place to fill.
type lookupPart struct{ text, source, arg string }

func (p lookupPart) name() string {
	if p.arg == "" {
		return p.source
	}
	return p.source + ":" + p.arg
}

// value is the part of a letter's call that stands in the place, not escaped; "" when there is none.
func (p lookupPart) value(l *dlq.Letter) string {
	m := &l.OriginalMessage
	target, headers := m.Sent()
	switch p.source {
	case "key":
		return l.Metadata.IdempotencyKey
	case "body":
		if v, found := bodyValue(m.Body, p.arg); found {
			return v[1:] // without the mark of its type
		}
	case "query":
		_, query, _ := strings.Cut(target, "?")
		if v, err := url.QueryUnescape(queryValue(query, p.arg)); err == nil {
			return v
		}
	case "header":
		for _, h := range headers {
			if strings.EqualFold(h.Name, p.arg) {
				return h.Value
			}
		}
	}
	return ""
}

// parseLookup reads a path with {places}.
func parseLookup(path string) (parts []lookupPart, err error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("does not begin with /")
	}
	for rest := path; rest != ""; {
		literal, after, open := strings.Cut(rest, "{")
		if strings.ContainsAny(literal, "}# \t\r\n\\") || strings.Contains(literal, "..") {
			return nil, errors.New("holds a character or a segment that cannot stand in a path")
		}
		if literal != "" {
			parts = append(parts, lookupPart{text: literal})
		}
		if !open {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		source, arg, named := strings.Cut(name, ":")
		if !closed || source == "" || source == "key" && named || !validLookupPlace(source, name) {
			return nil, fmt.Errorf("holds {%s, which is not one of {key}, {body:/json/pointer}, {query:name}, {header:Name}", after)
		}
		parts, rest = append(parts, lookupPart{source: source, arg: arg}), next
	}
	return parts, nil
}

func validLookupPlace(source, name string) bool {
	switch source {
	case "key":
		return true
	case "body", "query", "header":
		return validKeyPart(name)
	}
	return false
}
