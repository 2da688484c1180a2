package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAProgramThatEndsAtOnceIsReportedWithItsOutput(t *testing.T) {
	p, err := (&program{argv: []string{"sh", "-c", "echo no such config; exit 1"}, log: filepath.Join(t.TempDir(), "log")}).start()
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	err = p.awaitAnswer(context.Background(), addrs[0])
	if err == nil || !strings.Contains(err.Error(), "no such config") {
		t.Fatalf("error %v", err)
	}
}

func TestStopEndsAProgram(t *testing.T) {
	p, err := (&program{argv: []string{"cat", "/dev/zero"}, log: "/dev/null"}).start()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.stop()
	if time.Since(begin) >= stopLimit {
		t.Error("SIGTERM did not end it")
	}
	if _, err := cpuOf(p.pid); err == nil {
		t.Error("it still runs")
	}
}

func TestAwaitAnswerStopsWhenInterrupted(t *testing.T) {
	p, err := (&program{argv: []string{"sleep", "60"}, log: filepath.Join(t.TempDir(), "log")}).start()
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.awaitAnswer(ctx, addrs[0]); err == nil || strings.Contains(err.Error(), "output") {
		t.Fatalf("error %v", err)
	}
}

func TestFreeAddrsDiffer(t *testing.T) {
	addrs, err := freeAddrs(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, addr := range addrs {
		if seen[addr] {
			t.Fatalf("%s twice", addr)
		}
		seen[addr] = true
	}
}
