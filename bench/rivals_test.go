package main

import (
	"context"
	"strings"
	"testing"
)

func TestAMissingProxyIsAnErrorThatSaysWhatToDo(t *testing.T) {
	_, _, err := installed(context.Background(), "rival", "no-such-proxy", "-v")
	if err == nil || !strings.Contains(err.Error(), "bench/setup.sh") || !strings.Contains(err.Error(), "-without rival") {
		t.Fatalf("error %v", err)
	}
}
