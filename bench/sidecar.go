package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The credentials of the bench's adapter; they protect nothing.
const (
	benchToken  = "bench-token"
	benchSecret = "bench-signing-secret"
)

// newSidecar is the sidecar with every policy on, none of which has a reason to interfere: the limit is out of
// reach, nothing fails, no key comes twice.
func newSidecar(ctx context.Context, name string, s *site) (*target, error) {
	t, err := s.sidecarWith(ctx, name, "")
	if err != nil {
		return nil, err
	}
	t.keeps = name == nameSidecar // the same store with a log would only prolong the run
	return t, nil
}

// newSidecarRedis is the same sidecar with its keys and its bucket in a Redis of its own.
func newSidecarRedis(ctx context.Context, s *site) (*target, error) {
	r, err := newRedis(ctx, s)
	if err != nil {
		return nil, err
	}
	t, err := s.sidecarWith(ctx, nameRedis, "redis: { addresses: ["+r.addr+"] }\n")
	if err != nil {
		return nil, err
	}
	t.about, t.keeps, t.redis = t.about+", "+r.about, true, r
	return t, nil
}

// newSidecarObserved is the same sidecar with everything that observes on, for one call in a hundred.
func newSidecarObserved(ctx context.Context, s *site) (*target, error) {
	c, err := newCollector(s)
	if err != nil {
		return nil, err
	}
	t, err := s.sidecarWith(ctx, nameObserved, "")
	if err != nil {
		return nil, err
	}
	t.program.env = append(t.program.env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+c.addr)
	t.evidence = append(t.evidence, "traceparent: 00-")
	t.about, t.logs, t.spans = "all policies, spans and log lines of 1 %", false, c
	return t, nil
}

// sidecarWith is the sidecar of that name, with more lines in its configuration.
func (s *site) sidecarWith(ctx context.Context, name, more string) (*target, error) {
	binary, err := s.sidecarBinary(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	spool := filepath.Join(dir, "dlq")
	if err := os.Mkdir(spool, 0o700); err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	level := "error"
	switch name {
	case nameSidecarLog:
		level = "info"
	case nameObserved:
		level = "info, log_success_ratio: 0.01, sample_ratio: 0.01"
	}
	config := strings.NewReplacer("{proxy}", addrs[0], "{admin}", addrs[1], "{probes}", addrs[2],
		"{spool}", spool, "{level}", level, "{upstream}", s.upstream).Replace(sidecarConfig)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config+more), 0o600); err != nil {
		return nil, err
	}
	return &target{name: name, about: "all policies, log_level " + level, addr: addrs[0], evidence: sidecarMarks(), logs: level == "info", program: &program{
		argv: []string{binary, "run", "--config", file},
		env:  []string{"BENCH_TOKEN=" + benchToken, "BENCH_SIGN_SECRET=" + benchSecret},
		log:  filepath.Join(s.dir, name+".log"),
	}}, nil
}

const sidecarConfig = `listen:
  proxy: {proxy}
  admin: {admin}
  probes: {probes}
telemetry: { log_level: {level}, log_format: json }
dlq: { dir: {spool} }
adapters:
  bench:
    version: 1.0.0
    upstream: http://{upstream}
    auth: { bearer: env:BENCH_TOKEN }
    idempotency: { header: X-Idempotency-Key, honoured: true }
    sign: { scheme: hmac-sha256, secret: env:BENCH_SIGN_SECRET, header: X-Signature, encoding: hex }
    retry: { max_retries: 3, initial_delay: 1s, max_delay: 30s, multiplier: 2, jitter_factor: 0.1 }
    breaker: { failure_threshold: 5, success_threshold: 2, reset_timeout: 60s }
    rate_limit: { capacity: 1000000, refill_rate: 1000000 }
    validate: { methods: [GET, POST], content_types: [application/json] }
`

// sidecarMarks are the traces of key, credentials and signature on a POST that went through the sidecar.
func sidecarMarks() []string {
	mac := hmac.New(sha256.New, []byte(benchSecret))
	mac.Write([]byte(workloads()[1].body))
	return []string{
		"x-idempotency-key: ",
		"authorization: bearer " + benchToken,
		"x-signature: " + hex.EncodeToString(mac.Sum(nil)),
	}
}

// sidecarBinary is the binary the caller gave, or one built as the image builds it, once per run.
func (s *site) sidecarBinary(ctx context.Context) (string, error) {
	if s.sidecar != "" {
		return s.sidecar, nil
	}
	out := filepath.Join(s.dir, "sidecar.bin")
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", out,
		"github.com/fsm-integrations/sidecar/cmd/sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the sidecar: %w\n%s", err, output)
	}
	return out, nil
}
