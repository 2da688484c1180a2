package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxHead bounds the head of a message: the bench's own are below 1 KiB, a proxy adds a few fields.
const maxHead = 8 << 10

// head is what either end of the bench must know of an HTTP/1.1 message to find its end.
type head struct {
	start  []byte // request or status line
	size   int    // bytes of the whole head with its empty line
	length int    // Content-Length; -1 when there is none
	closes bool   // the sender closes the connection after this message
}

var (
	errPartial = errors.New("the head is not complete yet")
	errChunked = errors.New("message is not framed by Content-Length: the bench frames all of its messages so, and so must a proxy pass them on")
)

// parseHead reads the head at the start of buf, and returns errPartial while its end is not there.
// It copies nothing: start points into buf.
func parseHead(buf []byte) (head, error) {
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		if len(buf) > maxHead {
			return head{}, fmt.Errorf("head of more than %d bytes", maxHead)
		}
		return head{}, errPartial
	}
	h := head{size: end + 4, length: -1}
	var fields []byte
	h.start, fields, _ = bytes.Cut(buf[:end], []byte("\r\n"))
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return head{}, fmt.Errorf("line %q is not a field", line)
		}
		if err := h.take(name, bytes.TrimSpace(value)); err != nil {
			return head{}, err
		}
	}
	return h, nil
}

// take notes the fields that matter. Lengths of the names are compared first: this runs for every field of every call.
func (h *head) take(name, value []byte) error {
	switch {
	case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(value), 10, 31)
		if err != nil || h.length >= 0 {
			return fmt.Errorf("bad or repeated Content-Length %q", value)
		}
		h.length = int(n)
	case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		return errChunked
	case len(name) == 10 && bytes.EqualFold(name, []byte("Connection")):
		h.closes = bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

// status is the code of a status line, or an error when the line is none of HTTP/1.1.
func (h *head) status() (int, error) {
	const version = "HTTP/1.1 "
	if len(h.start) < len(version)+3 || string(h.start[:len(version)]) != version {
		return 0, fmt.Errorf("%q is not a status line of HTTP/1.1", h.start)
	}
	code, err := strconv.Atoi(string(h.start[len(version) : len(version)+3]))
	if err != nil {
		return 0, fmt.Errorf("%q has no status code", h.start)
	}
	return code, nil
}
