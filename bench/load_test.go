package main

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
)

// generate runs the load generator to its end and returns what it said.
func generate(t *testing.T, args ...string) []string {
	t.Helper()
	var out bytes.Buffer
	if err := runLoad(args, strings.NewReader("go\n"), &out); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestLoadCallsAndMeasures(t *testing.T) {
	for _, w := range workloads() {
		lines := generate(t, "-addr", serveUpstream(t), "-workload", w.name, "-conns", "4", "-warmup", "5ms", "-duration", "50ms")
		if len(lines) != 2 || lines[0] != "warm" {
			t.Fatalf("said %q", lines)
		}
		var r loadResult
		if err := json.Unmarshal([]byte(lines[1]), &r); err != nil {
			t.Fatal(err)
		}
		if r.Calls == 0 || r.Errors != 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 || r.Elapsed <= 0 {
			t.Fatalf("%s: %+v", w.name, r)
		}
	}
}

func TestLoadCountsErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	broken := answers{get: answer(503, "no")}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go broken.serve(conn)
		}
	}()
	lines := generate(t, "-addr", listener.Addr().String(), "-conns", "3", "-warmup", "10ms", "-duration", "10ms")
	var r loadResult
	if err := json.Unmarshal([]byte(lines[0]), &r); err != nil {
		t.Fatal(err)
	}
	if r.Errors != 3 || !strings.Contains(r.First, "answer 503") {
		t.Fatalf("%+v", r)
	}
}

func TestLoadRefusesAnUnknownWorkload(t *testing.T) {
	if err := runLoad([]string{"-workload", "PUT"}, strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Fatal("no error")
	}
}
