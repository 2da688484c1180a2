package upstream

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Seen is one request as it arrived.
type Seen struct {
	N       int         // position among all requests, from 1
	Conn    int         // connection it came on, from 1
	Time    time.Time   // when its head had been read
	Method  string      //
	Target  string      // request target, byte for byte
	Proto   string      // such as HTTP/1.1
	Host    string      //
	Fields  wire.Fields // header lines in the order and case in which they were sent
	Header  http.Header // the same, canonical
	Raw     []byte      // request line and header, byte for byte, with the empty line
	Body    []byte      // decoded content
	Trailer http.Header // trailer fields, canonical
	TLS     *tls.ConnectionState
	Err     error           // why the request is incomplete, or nil
	Gone    <-chan struct{} // closed when the client left before it had its answer
}

// tap remembers the bytes read from the connection since the last trim, because http.ReadRequest normalises what
// tests must see as sent.
type tap struct {
	from io.Reader
	log  []byte
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.log = append(t.log, p[:n]...)
	return n, err
}

// trim forgets all but the last n bytes: those that were read ahead and belong to the next request.
func (t *tap) trim(n int) { t.log = append([]byte(nil), t.log[len(t.log)-n:]...) }

// head returns the bytes up to and including the empty line.
func (t *tap) head() []byte {
	if end := bytes.Index(t.log, []byte("\r\n\r\n")); end >= 0 {
		return bytes.Clone(t.log[:end+4])
	}
	return bytes.Clone(t.log)
}

// readHead parses the request line and header; the body is still to be read from the returned request.
func readHead(br *bufio.Reader, t *tap, r *Seen) (*http.Request, error) {
	req, err := http.ReadRequest(br)
	r.Time, r.Raw = time.Now(), t.head()
	if err != nil {
		r.Err = err
		return nil, err
	}
	r.Method, r.Target, r.Proto, r.Host, r.Header = req.Method, req.RequestURI, req.Proto, req.Host, req.Header
	r.Fields = parseFields(r.Raw)
	return req, nil
}

func readBody(req *http.Request, r *Seen) error {
	r.Body, r.Err = io.ReadAll(req.Body)
	r.Trailer = req.Trailer
	return r.Err
}

func parseFields(head []byte) wire.Fields {
	var fields wire.Fields
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		fields.Add(name, strings.Trim(value, " \t"))
	}
	return fields
}
