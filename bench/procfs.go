package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memory is the resident memory of a process, in bytes.
type memory struct {
	resident int64 // now (VmRSS)
	peak     int64 // highest since the start or the last resetPeak (VmHWM)
}

// family lists a process and all its descendants: nginx works in children of the process the bench starts.
func family(pid int) ([]int, error) {
	pids := []int{pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("process %d is gone, or the kernel has no /proc/PID/task/TID/children", pid)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that ended meanwhile has no children
		}
		children, err := parsePIDs(string(text))
		if err != nil {
			return nil, err
		}
		for _, child := range children {
			descendants, err := family(child)
			if err != nil {
				return nil, err
			}
			pids = append(pids, descendants...)
		}
	}
	return pids, nil
}

func parsePIDs(text string) ([]int, error) {
	var pids []int
	for _, word := range strings.Fields(text) {
		pid, err := strconv.Atoi(word)
		if err != nil || pid <= 0 {
			return nil, fmt.Errorf("%q is not a process id", word)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// cpuOf is the CPU time a process and its descendants have used, user and system, ended threads included.
// It asks the process's CPU clock: nanoseconds up to this instant, where /proc/PID/stat counts ticks of 10 ms and
// schedstat lags behind for threads that are running.
func cpuOf(pid int) (time.Duration, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		var ts unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &ts); err != nil {
			return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// cpuClock is the id of another process's CPU clock, as clock_getcpuclockid(3) makes it: the complement of the
// process id above three bits, of which 2 means scheduler time.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

// memoryOf adds up a process and its descendants. Pages that several of them share count for each.
func memoryOf(pid int) (memory, error) {
	pids, err := family(pid)
	if err != nil {
		return memory{}, err
	}
	var sum memory
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return memory{}, err
		}
		m, err := parseStatus(text)
		if err != nil {
			return memory{}, fmt.Errorf("process %d: %w", pid, err)
		}
		sum.resident += m.resident
		sum.peak += m.peak
	}
	return sum, nil
}

// parseStatus reads VmRSS and VmHWM of a /proc/PID/status (proc_pid_status(5)).
func parseStatus(text []byte) (memory, error) {
	m := memory{resident: -1, peak: -1}
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(line), ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &m.resident
		case "VmHWM":
			into = &m.peak
		default:
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || unit != "kB" {
			return memory{}, fmt.Errorf("%s has the value %q", name, strings.TrimSpace(value))
		}
		*into = n << 10
	}
	if m.resident < 0 || m.peak < 0 {
		return memory{}, errors.New("status has no VmRSS or no VmHWM")
	}
	return m, nil
}

// resetPeak starts VmHWM anew (proc_pid_clear_refs(5)), so that the peak is that of the load, not of the start.
func resetPeak(pid int) error {
	pids, err := family(pid)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
			return err
		}
	}
	return nil
}
