package proxy

import (
	"net/url"
	"strings"

	"github.com/fsm-integrations/sidecar/policy"
)

// adapter is one external system, compiled: its chain and those of its operations.
type adapter struct {
	identity   *policy.Identity
	host       *policy.Host
	settings   *policy.Settings
	listen     string
	upstream   *url.URL
	chain      policy.Next
	prober     *policy.Prober // nil: no active checks
	operations []operation
}

// operation is a method and path pattern with a chain of its own.
type operation struct {
	name     string
	method   string // "" for any
	pattern  []string
	settings *policy.Settings
	chain    policy.Next
}

// route picks the chain of a call: the first operation that matches, else the adapter's own.
func (a *adapter) route(method, path string) (policy.Next, *policy.Settings, string) {
	for i := range a.operations {
		if o := &a.operations[i]; (o.method == "" || o.method == method) && matches(o.pattern, path) {
			return o.chain, o.settings, o.name
		}
	}
	return a.chain, a.settings, ""
}

// async reports whether any call of this adapter may be accepted before it is sent.
func (a *adapter) async() bool {
	async := a.settings.Async()
	for i := range a.operations {
		async = async || a.operations[i].settings.Async()
	}
	return async
}

// matches compares a path with a pattern's segments: {name} stands for one segment, a last ** for the rest.
func matches(pattern []string, path string) bool {
	path = strings.TrimPrefix(path, "/")
	for i, want := range pattern {
		if want == "**" && i == len(pattern)-1 {
			return true
		}
		segment, rest, more := strings.Cut(path, "/")
		if strings.HasPrefix(want, "{") && segment == "" || !strings.HasPrefix(want, "{") && segment != want {
			return false
		}
		if i == len(pattern)-1 {
			return !more
		}
		if !more {
			return false
		}
		path = rest
	}
	return false
}

// splitPattern turns /orders/{id} into its segments.
func splitPattern(pattern string) []string {
	return strings.Split(strings.TrimPrefix(pattern, "/"), "/")
}

// originForm returns the path and query of a request target, which may be in absolute form (RFC 9112 section 3.2.2).
func originForm(target string) (string, bool) {
	if strings.HasPrefix(target, "/") {
		return target, true
	}
	_, rest, found := strings.Cut(target, "://")
	if !found {
		return "", false // authority-form or asterisk-form
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		if rest = rest[i:]; rest[0] == '?' {
			rest = "/" + rest
		}
		return rest, true
	}
	return "/", true
}

// cutAdapter takes the first path segment, an adapter's name, off a target.
func cutAdapter(target string) (name, rest string) {
	end := len(target)
	if i := strings.IndexAny(target[1:], "/?"); i >= 0 {
		end = i + 1
	}
	name, rest = target[1:end], target[end:]
	if rest == "" || rest[0] == '?' {
		rest = "/" + rest
	}
	return name, rest
}

// climbs reports whether a path leads above its root, for any server. Dots, slashes, backslashes and semicolons count
// also where they are percent-encoded, and path parameters do not, because some servers see it so; a segment that
// holds separators that only some servers see leads down by one at most, because the others see one segment.
func climbs(path string) bool {
	if !strings.Contains(path, "..") && !strings.ContainsAny(path, `%\`) {
		return false
	}
	depth := 0
	for segment := range strings.SplitSeq(path, "/") {
		named := false
		for part := range strings.SplitSeq(separators.Replace(segment), "/") {
			part, _, _ = strings.Cut(part, ";")
			switch {
			case part == "..":
				if depth--; depth < 0 {
					return true
				}
			case part != "" && part != "." && !named:
				named = true
				depth++
			}
		}
	}
	return false
}

var separators = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/", "%3b", ";", "%3B", ";")
