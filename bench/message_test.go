package main

import (
	"errors"
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	tests := []struct {
		name, text string
		length     int
		closes     bool
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, false},
		{"any case, no space", "HTTP/1.1 200 OK\r\ncontent-length:7\r\nDate: x\r\n\r\n", 7, false},
		{"no fields", "GET / HTTP/1.1\r\n\r\n", -1, false},
		{"closing", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", 0, true},
		{"keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := parseHead([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if h.length != tt.length || h.closes != tt.closes || h.size != strings.Index(tt.text, "\r\n\r\n")+4 {
				t.Fatalf("got %+v", h)
			}
		})
	}
}

func TestParseHeadWaitsForTheEnd(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	for i := range len(text) {
		if _, err := parseHead([]byte(text[:i])); !errors.Is(err, errPartial) {
			t.Fatalf("after %q: %v", text[:i], err)
		}
	}
}

func TestParseHeadRefuses(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead),
	} {
		if _, err := parseHead([]byte(text)); err == nil || errors.Is(err, errPartial) {
			t.Errorf("%.60q: error %v", text, err)
		}
	}
}

func TestStatus(t *testing.T) {
	for line, want := range map[string]int{"HTTP/1.1 201 Created": 201, "HTTP/1.1 503": 503, "HTTP/1.0 200 OK": 0, "HTTP/1.1 2x0 OK": 0, "": 0} {
		h := head{start: []byte(line)}
		got, err := h.status()
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", line, got, err)
		}
	}
}
