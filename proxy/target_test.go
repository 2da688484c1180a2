package proxy

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestPathsThatLeadAboveTheirRoot(t *testing.T) {
	for _, p := range []string{"/..", "/../", "/a/../..", "/a/../../b", "/%2e%2e", "/%2E%2e/x", "/.%2e/", "/a/..%2f..%2fb", "/..%5c", `/..\x`, `/a\..\..\x`, "/..;/x", "/..;a=b/x", "/%2e%2e%3bx/y",
		"/./..", "//..", "/a//../..", "/;/..", "/..%2F", "/%2f..", "/a/%2e%2e/%2e%2e/b",
		"/a%2fb/../../x", "/a%2Fb/..%2f../x", `/a\b/../../x`, "/a%5cb/../../x"} { // not every server takes %2f or \ for a separator
		if !climbs(p) {
			t.Errorf("%s is let through", p)
		}
	}
	for _, p := range []string{"/", "/a", "/a/..", "/a/../b", "/a/b/../../c", "/...", "/..a", "/a..", "/a/.../b", "/.", "/a%2fb",
		"/a%2Fb/../c", "/%2e", "/%2e%2e%2e", "/a;b/..", "/a;../b", `/a\b`, "/a%5Cb/c", "/%252e%252e/"} {
		if climbs(p) {
			t.Errorf("%s is refused", p)
		}
	}
}

// reading is one way in which a server may read a path.
type reading struct{ slash, backslash, params, empty bool }

// escapes resolves a path as a server with this reading does, and reports whether it leaves its root.
func (r reading) escapes(p string) bool {
	p = strings.NewReplacer("%2e", ".", "%2E", ".").Replace(p)
	if r.slash {
		p = strings.NewReplacer("%2f", "/", "%2F", "/").Replace(p)
	}
	if r.backslash {
		p = strings.NewReplacer("%5c", "/", "%5C", "/", `\`, "/").Replace(p)
	}
	depth := 0
	for _, s := range strings.Split(strings.TrimPrefix(p, "/"), "/") {
		if r.params {
			s, _, _ = strings.Cut(strings.NewReplacer("%3b", ";", "%3B", ";").Replace(s), ";")
		}
		switch {
		case s == "..":
			if depth--; depth < 0 {
				return true
			}
		case s == ".", s == "" && !r.empty:
		default:
			depth++
		}
	}
	return false
}

func readings() (list []reading) {
	for n := range 16 {
		list = append(list, reading{n&1 != 0, n&2 != 0, n&4 != 0, n&8 != 0})
	}
	return list
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/erp/a/../b", "/erp/%2e%2e/x?y", "/erp/..%5c..", "http://h/erp/..;/x", "/erp/a%2fb/../../x", `/erp/a\b/../..`, "/erp//..//..", "/", "//", "*", "/erp?/../.."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		origin, ok := originForm(target)
		if !ok {
			return
		}
		name, rest := cutAdapter(origin)
		if !strings.HasPrefix(rest, "/") || strings.ContainsAny(name, "/?") {
			t.Fatalf("%q became %q and %q", origin, name, rest)
		}
		if whole := "/" + name + rest; whole != origin && strings.Replace(whole, "/"+name+"/", "/"+name, 1) != origin {
			t.Fatalf("%q became %q and %q: bytes were lost", origin, name, rest)
		}
		p, _, _ := strings.Cut(rest, "?")
		if climbs(p) {
			return
		}
		for _, r := range readings() {
			if r.escapes(p) {
				t.Fatalf("%q is let through and leads above its root for a server that reads %+v", p, r)
			}
		}
		if decoded, err := url.PathUnescape(p); err == nil {
			if clean := path.Clean("/base" + decoded); clean != "/base" && !strings.HasPrefix(clean, "/base/") {
				t.Fatalf("%q leads to %q", p, clean)
			}
		}
	})
}
