package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fsm-integrations/sidecar/proxy"
)

func TestLostLettersShowInStatus(t *testing.T) {
	at := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	line := spoolLine(proxy.SpoolStatus{Lost: 3, LastLost: &at, Failing: "the spool is full"})
	if !strings.Contains(line, "LOST: 3 letters") || !strings.Contains(line, "2026-01-31T09:30:00Z") || !strings.Contains(line, "the spool is full") {
		t.Error(line)
	}
	if line = spoolLine(proxy.SpoolStatus{}); strings.Contains(line, "LOST") {
		t.Error(line)
	}
}
