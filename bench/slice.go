package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// leastLogLine is shorter than any line about an exchange can be, in bytes.
const leastLogLine = 100

// slice is one measurement: a target, a workload, a round.
type slice struct {
	loadResult
	Round    int           `json:"round"`
	CPU      time.Duration `json:"cpu"` // of the proxy's processes
	Resident int64         `json:"resident"`
	LogBytes int64         `json:"log_bytes"`
	Redis    *redisUse     `json:"redis,omitempty"` // of a target that has one
}

// slice runs the load generator once against a target.
func (b *bench) slice(ctx context.Context, t *target, w *workload) (slice, error) {
	cmd := exec.CommandContext(ctx, b.site.self, roleLoad, "-addr", t.addr, "-workload", w.name, "-slice", fmt.Sprint(b.number()),
		"-conns", fmt.Sprint(b.options.conns), "-warmup", b.options.warmup.String(), "-duration", b.options.duration.String())
	cmd.Env = append(os.Environ(), helperProcs)
	cmd.SysProcAttr = ofItsOwn(syscall.SIGKILL)
	cmd.Stderr = b.note
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return slice{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return slice{}, err
	}
	if err := cmd.Start(); err != nil {
		return slice{}, err
	}
	one, err := t.observe(bufio.NewReader(stdout), stdin)
	if err == nil {
		err = one.Redis.check(one.Calls, b.options.conns, w)
	}
	return one, errors.Join(err, stdin.Close(), cmd.Wait())
}

// observe reads the proxy's clocks around the measured part of a slice, which the generator announces on its output
// and begins on a line of input.
func (t *target) observe(from *bufio.Reader, to io.Writer) (slice, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return slice{}, fmt.Errorf("the load generator ended: %w", err)
	}
	var before, after reading
	if line == "warm\n" {
		if before, err = t.read(); err != nil {
			return slice{}, err
		}
		if _, err := io.WriteString(to, "go\n"); err != nil {
			return slice{}, err
		}
		if line, err = from.ReadString('\n'); err != nil {
			return slice{}, fmt.Errorf("the load generator ended: %w", err)
		}
		if after, err = t.read(); err != nil {
			return slice{}, err
		}
	}
	var one slice
	if err := json.Unmarshal([]byte(line), &one.loadResult); err != nil {
		return slice{}, fmt.Errorf("the load generator said %q: %w", line, err)
	}
	if one.Errors > 0 {
		return slice{}, fmt.Errorf("%d connections met an error, one of them: %s", one.Errors, one.First)
	}
	one.CPU, one.Resident = after.cpu-before.cpu, after.memory.resident
	one.LogBytes = after.log - before.log
	one.Redis = after.redis.since(before.redis)
	if one.Calls == 0 || one.CPU < 0 {
		return slice{}, fmt.Errorf("%d calls, %v of CPU: a process of the proxy was replaced, or the slice is too short", one.Calls, one.CPU)
	}
	if t.logs && logPerCall(&one) < leastLogLine {
		return slice{}, fmt.Errorf("only %.1f bytes of log per call: it does not log what it should", logPerCall(&one))
	}
	return one, t.cutLog()
}
