package admin

import (
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// The status page is a handful of files as they are written: no build step, no template (html/template would switch off
// the linker's pruning), nothing from anywhere else. It holds no data: that comes from the API.
//
//go:embed page
var pageFiles embed.FS

// pagePrefix is where the parts of the page are.
const pagePrefix = "/page/"

// pagePolicy lets the page run its own script and style and talk to this listener, and nothing else. What it shows was
// written by strangers, so it also forbids to make markup of text (Trusted Types).
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// part is one file of the page.
type part struct {
	kind    string
	content []byte
}

// parts reads the files of the page, by name.
func parts() map[string]part {
	kinds := map[string]string{".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	out := map[string]part{}
	files, _ := fs.ReadDir(pageFiles, "page") // they are in the program: reading them cannot fail
	for _, f := range files {
		content, _ := fs.ReadFile(pageFiles, "page/"+f.Name())
		out[f.Name()] = part{kinds[path.Ext(f.Name())] + "; charset=utf-8", content}
	}
	return out
}

// part answers with one file of the page.
func (s *server) part(r *http.Request) (any, error) {
	p, ok := s.parts[r.PathValue("file")]
	if !ok {
		return nil, refuse(http.StatusNotFound, "the page has no such part")
	}
	return p, nil
}

// front answers / with the page for a browser, with the list of routes for everybody else.
func (s *server) front(index text) answer {
	return func(r *http.Request) (any, error) {
		if wantsPage(r) {
			return s.parts["index.html"], nil
		}
		return index, nil
	}
}

// wantsPage reports whether a request asks for HTML, as browsers do when somebody opens an address.
func wantsPage(r *http.Request) bool {
	for _, field := range r.Header.Values("Accept") {
		for media := range strings.SplitSeq(field, ",") {
			if kind, _, err := mime.ParseMediaType(media); err == nil && kind == "text/html" {
				return true
			}
		}
	}
	return false
}

// harmless reports whether a request is for a part of the page, which everybody may see: it holds no data.
func harmless(r *http.Request) bool {
	return reads(r.Method) && (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, pagePrefix))
}

func (p part) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", p.kind)
	h.Set("Vary", "Accept")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	_, _ = w.Write(p.content)
}
