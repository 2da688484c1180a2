package upstream

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fsm-integrations/sidecar/internal/wire"
)

// Step says how one request is answered. It is a value: the functions that refine a step return a changed copy.
type Step struct {
	name    string
	status  int
	fields  wire.Fields
	trailer wire.Fields
	body    string
	pace    time.Duration          // between the bytes of the body
	before  []func(*exchange) bool // what happens before the answer: gates, delays, 1xx; false ends it
	answer  func(*exchange, Step) bool
	chunked bool
	closes  bool // the connection ends after the answer
	early   bool // answered without reading the body
	unseen  bool // closed without reading anything
}

// Status answers with a status and a body, with Content-Length, on a connection that stays open.
func Status(code int, body ...string) Step {
	return Step{name: fmt.Sprintf("Status(%d)", code), status: code, body: strings.Join(body, "")}
}

// OK answers 200.
func OK(body string) Step { return Status(http.StatusOK, body) }

// JSON answers with a status and a JSON body.
func JSON(code int, body string) Step {
	return WithHeader(Status(code, body), "Content-Type", "application/json")
}

// Hang never answers; it ends when the client leaves or the test does.
func Hang() Step {
	return Step{name: "Hang", answer: func(x *exchange, _ Step) bool { x.linger(); return false }}
}

// Reset reads the request and resets the connection (TCP RST).
func Reset() Step { return Step{name: "Reset", answer: reset} }

// CloseAfterRead reads the request and closes the connection without an answer.
func CloseAfterRead() Step {
	return Step{name: "CloseAfterRead", answer: func(*exchange, Step) bool { return false }}
}

// CloseBeforeRead closes the connection on the first byte of the request, without reading it.
func CloseBeforeRead() Step {
	s := CloseAfterRead()
	s.name, s.unseen = "CloseBeforeRead", true
	return s
}

// Truncate promises contentLength bytes, sends sent of them and closes the connection.
func Truncate(contentLength, sent int) Step {
	raw := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", contentLength, strings.Repeat("x", sent))
	return named(Malformed([]byte(raw)), "Truncate")
}

// TruncateChunked sends a chunk and closes the connection without the last one.
func TruncateChunked() Step {
	return named(Malformed([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n")), "TruncateChunked")
}

// Malformed sends raw bytes instead of a response and closes the connection.
func Malformed(raw []byte) Step {
	return Step{name: "Malformed", answer: func(x *exchange, _ Step) bool { x.send(string(raw)); return false }}
}

// ChunkedWithTrailer answers 200 with a chunked body and trailer fields (name, value, …) announced in Trailer.
func ChunkedWithTrailer(body string, trailer ...string) Step {
	s := named(OK(body), "ChunkedWithTrailer")
	s.chunked, s.trailer = true, pairs(trailer)
	return s
}

// Stream answers 200 and sends each chunk as it comes; closing the channel ends the response.
func Stream(chunks <-chan []byte) Step {
	return Step{name: "Stream", status: http.StatusOK, chunked: true, answer: func(x *exchange, s Step) bool {
		return x.stream(s, chunks)
	}}
}

// WithHeader adds response fields: name, value, …
func WithHeader(s Step, fields ...string) Step {
	s.fields = append(s.fields[:len(s.fields):len(s.fields)], pairs(fields)...)
	return s
}

// RetryAfter adds a Retry-After field: seconds or a date.
func RetryAfter(s Step, value string) Step { return WithHeader(s, "Retry-After", value) }

// Slow waits d before each byte of the body.
func Slow(s Step, d time.Duration) Step { s.pace = d; return s }

// Delay waits d before the answer.
func Delay(s Step, d time.Duration) Step {
	return prepend(s, func(x *exchange) bool { return x.pause(d) })
}

// Gate waits before the answer until open yields a value or is closed.
func Gate(s Step, open <-chan struct{}) Step {
	return prepend(s, func(x *exchange) bool {
		return x.watch(func(gone <-chan struct{}) bool {
			select {
			case <-open:
				return true
			case <-gone:
			case <-x.conn.server.done:
			}
			return false
		})
	})
}

// Informational sends a 1xx response with fields (name, value, …) before the answer.
func Informational(s Step, code int, fields ...string) Step {
	head := responseHead(code, pairs(fields))
	return prepend(s, func(x *exchange) bool { return x.send(head) })
}

// CloseIdle answers as if the connection stayed open and closes it right after.
func CloseIdle(s Step) Step { s.closes = true; return s }

// CloseAfter announces Connection: close with the answer and closes the connection after it.
func CloseAfter(s Step) Step { return CloseIdle(WithHeader(s, "Connection", "close")) }

// Early answers after the head of the request, without reading its body or sending 100 (Continue), and closes the
// connection.
func Early(s Step) Step { s.early = true; return CloseAfter(s) }

func named(s Step, name string) Step { s.name = name; return s }

// prepend makes the outermost wrapper happen first, as it reads.
func prepend(s Step, f func(*exchange) bool) Step {
	s.before = append([]func(*exchange) bool{f}, s.before...)
	return s
}

// pairs panics on an odd number, which is a mistake in the test itself.
func pairs(flat []string) wire.Fields {
	var out wire.Fields
	for ; len(flat) > 0; flat = flat[2:] {
		out.Add(flat[0], flat[1])
	}
	return out
}
