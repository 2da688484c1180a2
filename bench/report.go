package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the outcome of a run, in the shape of -json.
type report struct {
	Before    host      `json:"host_before"`
	After     host      `json:"host_after"`
	Settings  settings  `json:"settings"`
	Calls     []callRow `json:"calls"`
	Processes []procRow `json:"processes"`
	Targets   []verdict `json:"targets"`
}

type settings struct {
	DurationSeconds float64 `json:"duration_seconds"`
	Rounds          int     `json:"rounds"`
	Conns           int     `json:"conns"`
	TookSeconds     float64 `json:"took_seconds"`
}

// callRow is one target under one workload: medians over the rounds.
type callRow struct {
	Target     string  `json:"target"`
	Workload   string  `json:"workload"`
	CallRate   float64 `json:"calls_per_second"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	CPU        float64 `json:"cpu_us_per_call"` // 0 for direct, which has no process
	LogBytes   float64 `json:"log_bytes_per_call"`
	VsHTTPUtil *ratios `json:"vs_httputil,omitempty"`
	VsNginx    *ratios `json:"vs_nginx,omitempty"`
	Slices     []slice `json:"slices"`
}

// ratios compare a target with a base: medians of the quotients of each round.
type ratios struct {
	CPU      float64 `json:"cpu,omitempty"`
	CallRate float64 `json:"calls_per_second"`
	P99      float64 `json:"p99"`
}

// procRow is what a target's processes need. Memory is in millions of bytes.
type procRow struct {
	Target  string  `json:"target"`
	About   string  `json:"about"`
	StartUp float64 `json:"start_up_ms"`
	Idle    float64 `json:"resident_idle_mb"`
	Loaded  float64 `json:"resident_load_mb"`
	Peak    float64 `json:"resident_peak_mb"`
}

func newReport(b *bench, before, after host) *report {
	r := &report{Before: before, After: after, Settings: settings{
		DurationSeconds: b.options.duration.Seconds(), Rounds: b.options.rounds, Conns: b.options.conns,
		TookSeconds: after.at.Sub(before.at).Seconds(),
	}}
	for _, w := range workloads() {
		for _, s := range b.series {
			r.Calls = append(r.Calls, b.newCallRow(s, w.name))
		}
	}
	for _, s := range b.series {
		if s.target.process != nil {
			r.Processes = append(r.Processes, newProcRow(s))
		}
	}
	r.Targets = judge(b)
	return r
}

func (b *bench) newCallRow(s *series, workload string) callRow {
	all := s.slices[workload]
	return callRow{
		Target: s.target.name, Workload: workload,
		CallRate: medianOf(all, callRate), P50: medianOf(all, p50), P99: medianOf(all, p99),
		CPU: medianOf(all, cpuPerCall), LogBytes: medianOf(all, logPerCall),
		VsHTTPUtil: b.compare(s, nameHTTPUtil, workload), VsNginx: b.compare(s, nameNginx, workload),
		Slices: all,
	}
}

// compare is nil when the base was not measured.
func (b *bench) compare(s *series, base, workload string) *ratios {
	other := b.find(base)
	if other == nil {
		return nil
	}
	all, bases := s.slices[workload], other.slices[workload]
	r := &ratios{CallRate: ratioOf(all, bases, callRate), P99: ratioOf(all, bases, p99)}
	if s.target.process != nil {
		r.CPU = ratioOf(all, bases, cpuPerCall)
	}
	return r
}

func (b *bench) find(name string) *series {
	for _, s := range b.series {
		if s.target.name == name {
			return s
		}
	}
	return nil
}

func newProcRow(s *series) procRow {
	var starts []float64
	for _, d := range s.target.startup {
		starts = append(starts, micros(d)/1e3)
	}
	var all []slice
	for _, w := range workloads() {
		all = append(all, s.slices[w.name]...)
	}
	return procRow{
		Target: s.target.name, About: s.target.about, StartUp: median(starts), Idle: megabytes(s.idle.resident),
		Loaded: medianOf(all, resident), Peak: megabytes(s.loaded.peak),
	}
}

// write prints the report and, under -enforce, turns a missed target into an error.
func (r *report) write(w io.Writer, o options) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	show := func() error { return r.print(w) }
	if o.json {
		show = func() error { return encoder.Encode(r) }
	}
	err := show()
	for _, v := range r.Targets {
		if err == nil && o.enforce && v.Result != pass {
			err = errMissed
		}
	}
	return err
}

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
	table := newTable(w, "process", "start-up ms", "idle MB", "load MB", "peak MB", "log B/call", "what")
	for _, p := range r.Processes {
		logged := 0.0
		for _, c := range r.Calls {
			if c.Target == p.Target {
				logged = max(logged, c.LogBytes)
			}
		}
		table.row(p.Target, number("%.1f", p.StartUp), number("%.1f", p.Idle), number("%.1f", p.Loaded),
			number("%.1f", p.Peak), number("%.0f", logged), p.About)
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

func newTable(w io.Writer, heading ...string) table {
	fmt.Fprintln(w)
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(heading...)
	return t
}

func (t table) row(cells ...string) { fmt.Fprintln(t.Writer, strings.Join(cells, "\t")+"\t") }

func (t table) flush() error { return t.Flush() }
