package main

import (
	"encoding/json"
	"io"
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
	VsSidecar  *ratios `json:"vs_sidecar,omitempty"` // of the observed one
	Redis      *shared `json:"redis,omitempty"`      // of the target with one
	Slices     []slice `json:"slices"`
}

// ratios compare a target with a base: medians of the quotients of each round.
type ratios struct {
	CPU      float64 `json:"cpu,omitempty"`
	CallRate float64 `json:"calls_per_second"`
	P50      float64 `json:"p50"`
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
	Keyed   float64 `json:"resident_peak_with_keys_mb"` // 0 for targets that keep none
}

func newReport(b *bench, before, after host) *report {
	r := &report{Before: before, After: after, Settings: settings{
		DurationSeconds: b.options.duration.Seconds(), Rounds: b.options.rounds, Conns: b.options.conns,
		TookSeconds: after.at.Sub(before.at).Seconds(),
	}}
	for _, w := range workloads() {
		for _, s := range b.series {
			if len(s.slices[w.name]) > 0 {
				r.Calls = append(r.Calls, b.newCallRow(s, w.name))
			}
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
	var observed *ratios
	if s.target.name == nameObserved {
		observed = b.compare(s, nameSidecar, workload)
	}
	return callRow{
		Target: s.target.name, Workload: workload,
		CallRate: medianOf(all, callRate), P50: medianOf(all, p50), P99: medianOf(all, p99),
		CPU: medianOf(all, cpuPerCall), LogBytes: medianOf(all, logPerCall),
		VsHTTPUtil: b.compare(s, nameHTTPUtil, workload), VsNginx: b.compare(s, nameNginx, workload),
		VsSidecar: observed, Redis: b.newShared(s, workload), Slices: all,
	}
}

// compare is nil when the base was not measured with this workload.
func (b *bench) compare(s *series, base, workload string) *ratios {
	other := b.find(base)
	if other == nil || len(other.slices[workload]) == 0 {
		return nil
	}
	all, bases := s.slices[workload], other.slices[workload]
	r := &ratios{CallRate: ratioOf(all, bases, callRate), P50: ratioOf(all, bases, p50), P99: ratioOf(all, bases, p99)}
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
		if !w.keyed {
			all = append(all, s.slices[w.name]...)
		}
	}
	return procRow{
		Target: s.target.name, About: s.target.about, StartUp: median(starts), Idle: megabytes(s.idle.resident),
		Loaded: medianOf(all, resident), Peak: megabytes(s.loaded.peak), Keyed: megabytes(s.keyed.peak),
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
