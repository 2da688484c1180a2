package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// print writes the tables.
func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%d rounds of %.3gs slices, %d connections, medians over rounds; %d CPUs, %s, GOMAXPROCS %d; load before %s, after %s; took %v\n",
		r.Settings.Rounds, r.Settings.DurationSeconds, r.Settings.Conns, r.Before.CPUs, r.Before.Go, r.Before.GOMAXPROCS,
		r.Before.Load, r.After.Load, time.Duration(r.Settings.TookSeconds)*time.Second)
	for _, workload := range workloads() {
		if err := r.printCalls(w, workload.name); err != nil {
			return err
		}
	}
	if err := r.printObserved(w); err != nil {
		return err
	}
	if err := r.printShared(w); err != nil {
		return err
	}
	if err := r.printProcesses(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, v := range r.Targets {
		fmt.Fprintf(w, "%-10s %s\n", v.Result, v.Text)
	}
	return nil
}

func (r *report) printCalls(w io.Writer, workload string) error {
	table := newTable(w, workload, "calls/s", "p50 µs", "p99 µs", "CPU µs/call",
		"CPU ×httputil", "×nginx", "calls/s ×httputil", "×nginx", "p99 ×httputil", "×nginx")
	for _, c := range r.Calls {
		if c.Workload != workload {
			continue
		}
		h, n := c.VsHTTPUtil.cells(), c.VsNginx.cells()
		table.row(c.Target, number("%.0f", c.CallRate), number("%.0f", c.P50), number("%.0f", c.P99), number("%.1f", c.CPU),
			h[0], n[0], h[1], n[1], h[2], n[2])
	}
	return table.flush()
}

func (r *ratios) cells() [3]string {
	if r == nil {
		return [3]string{"-", "-", "-"}
	}
	return [3]string{number("%.2f", r.CPU), number("%.2f", r.CallRate), number("%.2f", r.P99)}
}

func (r *report) printProcesses(w io.Writer) error {
	table := newTable(w, "process", "start-up ms", "idle MB", "load MB", "peak MB", "with keys MB", "log B/call", "what")
	for _, p := range r.Processes {
		logged := 0.0
		for _, c := range r.Calls {
			if c.Target == p.Target {
				logged = max(logged, c.LogBytes)
			}
		}
		table.row(p.Target, number("%.1f", p.StartUp), number("%.1f", p.Idle), number("%.1f", p.Loaded),
			number("%.1f", p.Peak), number("%.1f", p.Keyed), number("%.0f", logged), p.About)
	}
	return table.flush()
}

// number prints zero, which stands for nothing to measure, as a dash.
func number(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// table is a tabwriter with a heading.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, heading ...string) *table {
	fmt.Fprintln(w)
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(heading...)
	return t
}

func (t table) row(cells ...string) { fmt.Fprintln(t.Writer, strings.Join(cells, "\t")+"\t") }

func (t table) flush() error { return t.Flush() }
