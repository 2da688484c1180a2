package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"sync"
	"time"
)

const roleLoad = "bench-load"

// callGrace is how long a call may outlast its slice before it counts as an error.
const callGrace = 10 * time.Second

// loadResult is what one slice gave. Durations are nanoseconds in JSON.
type loadResult struct {
	Calls   uint64        `json:"calls"`
	Errors  int           `json:"errors"`
	First   string        `json:"first_error,omitempty"`
	Elapsed time.Duration `json:"elapsed"`
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
	Max     time.Duration `json:"max"`
}

// runLoad is the role of the application: a closed loop on keep-alive connections. It warms up, says so, waits for a
// line on stdin while the bench reads the proxy's CPU clock, measures, prints the result, and keeps its connections
// open until stdin ends, so that the bench reads clock and memory before the proxy tears them down.
func runLoad(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet(roleLoad, flag.ContinueOnError)
	addr := flags.String("addr", "", "address")
	name := flags.String("workload", "GET", "workload")
	conns := flags.Int("conns", 32, "connections")
	number := flags.Int("slice", 0, "number of the slice, for its keys")
	warmup := flags.Duration("warmup", 0, "unmeasured time")
	duration := flags.Duration("duration", time.Second, "measured time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	workers, err := connect(*addr, *name, *conns, *number, time.Now().Add(*warmup+*duration+callGrace))
	if err != nil {
		return err
	}
	start := bufio.NewReader(stdin)
	result := drive(workers, *warmup)
	if result.Errors == 0 {
		if _, err := fmt.Fprintln(stdout, "warm"); err != nil {
			return err
		}
		if _, err := start.ReadString('\n'); err != nil {
			return fmt.Errorf("waiting for the start: %w", err)
		}
		result = drive(workers, *duration)
	}
	if err := json.NewEncoder(stdout).Encode(result); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, start)
	return err
}

// worker is one connection and what it saw.
type worker struct {
	client    *client
	workload  *workload
	request   []byte
	key       *key // in request; nil when the workload has none
	latencies *histogram
	err       error
}

func connect(addr, name string, conns, slice int, deadline time.Time) ([]*worker, error) {
	for _, w := range workloads() {
		if w.name != name {
			continue
		}
		workers := make([]*worker, conns)
		for i := range workers {
			c, err := dial(addr, deadline)
			if err != nil {
				return nil, fmt.Errorf("connection %d of %d: %w", i+1, conns, err)
			}
			request := w.request(addr, "call")
			workers[i] = &worker{client: c, workload: &w, request: request, key: keyIn(request, slice, i)}
		}
		return workers, nil
	}
	return nil, fmt.Errorf("unknown workload %q", name)
}

// drive runs all workers for d and adds up what they saw.
func drive(workers []*worker, d time.Duration) loadResult {
	var group sync.WaitGroup
	begin := time.Now()
	for _, w := range workers {
		group.Go(func() { w.run(begin.Add(d)) })
	}
	group.Wait()
	result := loadResult{Elapsed: time.Since(begin)}
	all := newHistogram()
	for _, w := range workers {
		all.merge(w.latencies)
		if w.err != nil {
			result.Errors++
			result.First = w.err.Error()
		}
	}
	result.Calls, result.Max = all.total, all.max
	result.P50, result.P99 = all.quantile(0.50), all.quantile(0.99)
	return result
}

// run calls until end or the first error: what follows an unexpected answer means nothing.
func (w *worker) run(end time.Time) {
	w.latencies = newHistogram()
	for before := time.Now(); before.Before(end); {
		w.key.renew()
		if w.err = w.client.expect(w.workload, w.request); w.err != nil {
			return
		}
		after := time.Now()
		w.latencies.record(after.Sub(before))
		before = after
	}
}
