package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// Result is what a command left behind.
type Result struct {
	Code   int
	Stdout string
	Stderr string
}

// Run executes the binary with args in a folder with an environment of its own.
func Run(t testing.TB, dir string, env []string, args ...string) Result {
	t.Helper()
	return Feed(t, "", dir, env, args...)
}

// Feed is Run with something on stdin.
func Feed(t testing.TB, stdin, dir string, env []string, args ...string) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, env, strings.NewReader(stdin), &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run sidecar %s: %v", strings.Join(args, " "), err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

// Command runs a command against this sidecar, which it finds by SIDECAR_ADMIN and SIDECAR_PROBES.
func (s *Sidecar) Command(t testing.TB, args ...string) Result {
	t.Helper()
	return Run(t, s.Dir, append(s.environment(), "SIDECAR_ADMIN="+s.Admin, "SIDECAR_PROBES="+s.Probes), args...)
}

// MustCommand is Command that fails the test on any code but 0.
func (s *Sidecar) MustCommand(t testing.TB, args ...string) Result {
	t.Helper()
	r := s.Command(t, args...)
	if r.Code != 0 {
		t.Fatalf("sidecar %s ended with code %d:\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Letter is a letter as `dlq show -o json` prints it.
type Letter struct {
	ID              string `json:"id"`
	State           string `json:"state"`
	OriginalMessage struct {
		Method     string          `json:"method"`
		URL        string          `json:"url"`
		Headers    json.RawMessage `json:"headers"`
		Body       []byte          `json:"body"`
		BodyDigest string          `json:"bodyDigest"`
	} `json:"originalMessage"`
	Error struct {
		Message string `json:"message"`
		Code    string `json:"code"`
		Type    string `json:"type"`
	} `json:"error"`
	Metadata struct {
		Attempts       int    `json:"attempts"`
		FirstAttempt   string `json:"firstAttempt"`
		LastAttempt    string `json:"lastAttempt"`
		CorrelationID  string `json:"correlationId"`
		AdapterID      string `json:"adapterId"`
		TenantID       string `json:"tenantId"`
		UserID         string `json:"userId"`
		IdempotencyKey string `json:"idempotencyKey"`
		AdapterVersion string `json:"adapterVersion"`
	} `json:"metadata"`
	Attempts []struct {
		Status int    `json:"status"`
		Error  string `json:"error"`
		Start  string `json:"start"`
	} `json:"attempts"`
}

// Letter shows one letter; it must be there.
func (s *Sidecar) Letter(t testing.TB, id string) Letter {
	t.Helper()
	var l Letter
	r := s.MustCommand(t, "dlq", "show", id, "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &l); err != nil {
		t.Fatalf("dlq show %s prints no JSON: %v: %.500q", id, err, r.Stdout)
	}
	if l.ID != id {
		t.Fatalf("dlq show %s shows letter %q", id, l.ID)
	}
	return l
}

// Letters lists the ids of letters; filter are flags of `dlq list`.
func (s *Sidecar) Letters(t testing.TB, filter ...string) []string {
	t.Helper()
	r := s.MustCommand(t, append([]string{"dlq", "list", "-o", "json"}, filter...)...)
	var page struct{ Letters []struct{ ID string } }
	if err := json.Unmarshal([]byte(r.Stdout), &page); err != nil {
		if err := json.Unmarshal([]byte(r.Stdout), &page.Letters); err != nil {
			t.Fatalf("dlq list prints no JSON list of letters: %v: %.500q", err, r.Stdout)
		}
	}
	ids := []string{}
	for _, l := range page.Letters {
		ids = append(ids, l.ID)
	}
	return ids
}
