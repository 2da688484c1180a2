// Package wire holds a request and a response as the policy stages see them.
//
// Fields are an ordered slice, so that case and order survive where the engine on either side keeps them; the target
// is the bytes the application sent; a body is either bytes that can be sent again or a stream that cannot.
// Nothing here knows sockets or net/http: the engines in proxy and policy translate at the edges.
package wire

import (
	"io"
	"strings"
)

// Field is one header or trailer line (RFC 9110 section 5).
type Field struct{ Name, Value string }

// Fields is an ordered list of fields. Names compare without regard to case.
type Fields []Field

// Get returns the value of the first field called name, or "".
func (f Fields) Get(name string) string {
	for i := range f {
		if strings.EqualFold(f[i].Name, name) {
			return f[i].Value
		}
	}
	return ""
}

// Has reports whether a field called name is present, even an empty one.
func (f Fields) Has(name string) bool {
	for i := range f {
		if strings.EqualFold(f[i].Name, name) {
			return true
		}
	}
	return false
}

// Add appends a field.
func (f *Fields) Add(name, value string) { *f = append(*f, Field{name, value}) }

// Set replaces every field called name by one.
func (f *Fields) Set(name, value string) {
	for i := range *f {
		if strings.EqualFold((*f)[i].Name, name) {
			(*f)[i].Value = value
			rest := (*f)[i+1:]
			rest.Del(name)
			*f = (*f)[:i+1+len(rest)]
			return
		}
	}
	f.Add(name, value)
}

// Del removes every field called name.
func (f *Fields) Del(name string) {
	kept := (*f)[:0]
	for _, field := range *f {
		if !strings.EqualFold(field.Name, name) {
			kept = append(kept, field)
		}
	}
	*f = kept
}

// Clone returns a copy with room for extra more fields.
func (f Fields) Clone(extra int) Fields {
	c := make(Fields, len(f), len(f)+extra)
	copy(c, f)
	return c
}

// Body is the content of a request: Bytes when it was buffered and may be sent again, else Stream, which is read once.
type Body struct {
	Bytes  []byte
	Stream io.ReadCloser
	Length int64 // of Stream; -1 when unknown
}

// Buffered reports whether the body can be sent more than once.
func (b Body) Buffered() bool { return b.Stream == nil }

// Request is one call on its way upstream.
type Request struct {
	Method  string
	Target  string // origin-form: path and query, byte for byte
	Fields  Fields
	Body    Body
	Trailer func() Fields // nil, or the trailer fields once Stream has been read to its end
}

// Path returns the target without its query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}

// Query returns the target's query without the question mark, "" when there is none.
func (r *Request) Query() string {
	_, query, _ := strings.Cut(r.Target, "?")
	return query
}

// Outcome is what the body of a response tells of a call that its status calls a success.
type Outcome string

// The outcomes that a body can tell of; "" is that of the status.
const (
	PartialFailure Outcome = "partial_failure"
	ServerError    Outcome = "server_error"
	ClientError    Outcome = "client_error"
)

// Response is an answer on its way to the application: Content when it is complete in memory, else Stream.
type Response struct {
	Status  int
	Fields  Fields
	Content []byte
	Stream  io.ReadCloser // nil when Content is the whole body
	Length  int64         // of Stream; -1 when unknown
	Trailer func() Fields // nil, or the trailer fields once Stream has been read to its end
	Outcome Outcome       // "" unless a policy has looked into the body and found a failure
}

// Close gives back what an unread stream holds.
func (r *Response) Close() {
	if r != nil && r.Stream != nil {
		_ = r.Stream.Close()
	}
}
