package main

import (
	"os"
	"runtime"
	"strings"
	"time"
)

// helperProcs keeps upstream and generator off half of a small machine: they need little, and what Go's scheduler
// spends on looking for work on more processors would be taken from the proxies.
const helperProcs = "GOMAXPROCS=2"

// reading is the state of a proxy's meters at one moment.
type reading struct {
	cpu    time.Duration
	memory memory
	log    int64     // bytes
	redis  *redisUse // nil for a target without Redis
}

// read takes all meters of a target; without a process they stay zero.
func (t *target) read() (reading, error) {
	if t.process == nil {
		return reading{}, nil
	}
	cpu, err := cpuOf(t.process.pid)
	if err != nil {
		return reading{}, err
	}
	m, err := memoryOf(t.process.pid)
	if err != nil {
		return reading{}, err
	}
	info, err := os.Stat(t.process.log)
	if err != nil {
		return reading{}, err
	}
	r := reading{cpu: cpu, memory: m, log: info.Size()}
	if t.redis != nil {
		r.redis, err = t.redis.read()
	}
	return r, err
}

// cutLog empties the log, which at a line per call would fill the disk of a long run.
func (t *target) cutLog() error {
	if t.process == nil {
		return nil
	}
	return os.Truncate(t.process.log, 0)
}

// host is the machine, as far as it explains the numbers.
type host struct {
	CPUs       int    `json:"cpus"`
	GOMAXPROCS int    `json:"gomaxprocs"` // of the Go proxies: the default
	Go         string `json:"go"`
	Load       string `json:"load"` // load average over 1, 5 and 15 minutes
	at         time.Time
}

func observeHost() host {
	h := host{CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), Go: runtime.Version(), Load: "unknown", at: time.Now()}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if words := strings.Fields(string(text)); len(words) >= 3 {
			h.Load = strings.Join(words[:3], " ")
		}
	}
	return h
}
