package wire

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func list(pairs ...string) (f Fields) {
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

func TestFieldsKeepOrderCaseAndRepetition(t *testing.T) {
	f := list("b", "1", "A", "2", "B", "3")
	if f.Get("B") != "1" || f.Get("a") != "2" || f.Get("c") != "" || !f.Has("a") || f.Has("c") {
		t.Errorf("read from %v", f)
	}
	if empty := list("X", ""); !empty.Has("x") || empty.Get("X") != "" {
		t.Error("an empty field is not there")
	}
	for name, c := range map[string]struct {
		edit func(*Fields)
		want Fields
	}{
		"set the first of two": {func(f *Fields) { f.Set("b", "9") }, list("b", "9", "A", "2")},
		"set the last":         {func(f *Fields) { f.Set("a", "9") }, list("b", "1", "A", "9", "B", "3")},
		"set a new one":        {func(f *Fields) { f.Set("C", "9") }, list("b", "1", "A", "2", "B", "3", "C", "9")},
		"delete two":           {func(f *Fields) { f.Del("B") }, list("A", "2")},
		"delete none":          {func(f *Fields) { f.Del("c") }, list("b", "1", "A", "2", "B", "3")},
	} {
		g := f.Clone(1)
		c.edit(&g)
		if !slices.Equal(g, c.want) {
			t.Errorf("%s: %v, want %v", name, g, c.want)
		}
	}
}

func TestACloneSharesNothing(t *testing.T) {
	f := list("A", "1", "B", "2")
	c := f.Clone(2)
	c.Set("A", "changed")
	c.Del("B")
	c.Add("C", "3")
	if !slices.Equal(f, list("A", "1", "B", "2")) {
		t.Errorf("the original became %v", f)
	}
}

func TestFieldsOfOneConnectionDoNotPass(t *testing.T) {
	for name, c := range map[string]struct{ in, want Fields }{
		"known ones": {list("A", "1", "Connection", "close", "keep-alive", "x", "PROXY-CONNECTION", "x", "Proxy-Authenticate", "x", "Proxy-Authorization", "x",
			"TE", "trailers", "Trailer", "x", "Transfer-Encoding", "chunked", "Upgrade", "h2c", "B", "2"), list("A", "1", "B", "2")},
		"named ones":       {list("Connection", "close, X-Hop ,, keep-alive", "x-hop", "1", "X-End", "2", "connection", "X-Two", "X-TWO", "3"), list("X-End", "2")},
		"nothing to drop":  {list("A", "1", "A", "2"), list("A", "1", "A", "2")},
		"nothing":          {nil, nil},
		"close is no name": {list("Connection", "close", "Close", "a field", "Keep-Alive", "x"), list("Close", "a field")},
	} {
		if got := c.in.EndToEnd(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestATargetIsCutAtItsFirstQuestionMark(t *testing.T) {
	for target, want := range map[string][2]string{"/a?b?c": {"/a", "b?c"}, "/a": {"/a", ""}, "/a?": {"/a", ""}, "/?x=/y": {"/", "x=/y"}} {
		r := Request{Target: target}
		if r.Path() != want[0] || r.Query() != want[1] {
			t.Errorf("%s is %q and %q", target, r.Path(), r.Query())
		}
	}
}

type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

func TestBodiesAndResponses(t *testing.T) {
	if !(Body{}).Buffered() || !(Body{Bytes: []byte("x")}).Buffered() || (Body{Stream: &closer{}}).Buffered() {
		t.Error("buffered is what has no stream")
	}
	c := &closer{Reader: strings.NewReader("")}
	(&Response{Stream: c}).Close()
	(&Response{}).Close()
	(*Response)(nil).Close()
	if c.closed != 1 {
		t.Errorf("closed %d times", c.closed)
	}
}
