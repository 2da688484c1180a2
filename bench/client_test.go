package main

import (
	"net"
	"strings"
	"testing"
	"time"
)

// scripted is a client whose peer reads one request and answers with the given pieces, one write each.
func scripted(t *testing.T, pieces ...string) *client {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close() })
	go func() {
		defer func() { _ = far.Close() }()
		if _, err := far.Read(make([]byte, 4096)); err != nil {
			return
		}
		for _, piece := range pieces {
			if _, err := far.Write([]byte(piece)); err != nil {
				return
			}
		}
	}()
	return &client{conn: near, buf: make([]byte, 2*maxHead+bodySize)}
}

func TestCallReadsAnswersHoweverTheyAreCut(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
	for i := 1; i < len(text); i++ {
		status, body, err := scripted(t, text[:i], text[i:]).call([]byte("x"))
		if err != nil || status != 200 || string(body) != "hello world" {
			t.Fatalf("cut at %d: %d %q %v", i, status, body, err)
		}
	}
}

func TestCallRefusesWrongAnswers(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", "answer cut"},
		{"cut head", "HTTP/1.1 200 OK\r\nConten", "EOF"},
		{"nothing", "", "EOF"},
		{"surplus", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", "3 bytes after"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nhello", "Content-Length"},
		{"closing", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", "closes"},
		{"huge", "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", "answer of"},
		{"old", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "status line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := scripted(t, tt.text).call([]byte("x"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestExpectComparesStatusAndBody(t *testing.T) {
	w := &workload{status: 200, answer: "hi"}
	for _, text := range []string{
		"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nh",
	} {
		if err := scripted(t, text).expect(w, []byte("x")); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if err := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").expect(w, []byte("x")); err != nil {
		t.Error(err)
	}
}

// serveUpstream runs the bench's upstream in this process.
func serveUpstream(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- acceptAll(listener) }()
	t.Cleanup(func() {
		_ = listener.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func TestUpstreamAnswersEveryWorkload(t *testing.T) {
	direct := &target{name: nameDirect, addr: serveUpstream(t)}
	if err := direct.check(1); err != nil {
		t.Fatal(err)
	}
}

func TestUpstreamEchoesTheHeadItReceived(t *testing.T) {
	addr := serveUpstream(t)
	marked := &target{name: nameSidecar, addr: addr, evidence: []string{"content-length: 1024"}}
	if err := marked.check(1); err != nil {
		t.Fatal(err)
	}
	marked.evidence = sidecarMarks()
	if err := marked.check(1); err == nil || !strings.Contains(err.Error(), "x-idempotency-key") {
		t.Fatalf("a request without the sidecar's marks passed: %v", err)
	}
}

func TestATargetThatForgetsKeysIsFound(t *testing.T) {
	forgetful := &target{name: nameSidecar, addr: serveUpstream(t), keeps: true}
	if err := forgetful.check(1); err == nil || !strings.Contains(err.Error(), "keys are not kept") {
		t.Fatalf("error %v", err)
	}
}

func TestUpstreamTakesRequestsThatArriveInPiecesOrTogether(t *testing.T) {
	c, err := dial(serveUpstream(t), time.Now().Add(callGrace))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	post := workloads()[1]
	request := post.request("x", "call")
	for _, piece := range [][]byte{request[:20], request[20:200]} {
		if _, err := c.conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.expect(&post, request[200:]); err != nil {
		t.Fatal(err)
	}
	// Two at once: the second answer may come with the first, which call reports, or after it.
	if _, _, err := c.call(append(request, request...)); err != nil && !strings.Contains(err.Error(), "after the answer") {
		t.Fatal(err)
	}
}
