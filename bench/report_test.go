package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v", values, got)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("nothing has a median")
	}
}

func TestRatioIsTakenRoundByRound(t *testing.T) {
	// A machine half as fast in the second round and a tenth as fast in the third: the ratio stays the same.
	all := []slice{sliceOf(20), sliceOf(40), sliceOf(200)}
	base := []slice{sliceOf(10), sliceOf(20), sliceOf(100)}
	if got := ratioOf(all, base, cpuPerCall); got != 2 {
		t.Fatalf("ratio %v", got)
	}
}

// sliceOf is a slice of 1000 calls in a second with the given CPU microseconds per call.
func sliceOf(cpu float64) slice {
	return slice{
		loadResult: loadResult{Calls: 1000, Elapsed: time.Second, P50: time.Millisecond, P99: 2 * time.Millisecond},
		CPU:        time.Duration(cpu * 1e6), Resident: 20e6,
	}
}

// sample is a run in which each named target had the given CPU per call and peak memory.
func sample(cpu map[string]float64, peak int64) *bench {
	b := &bench{options: options{duration: time.Second, rounds: 1, conns: 32}}
	for _, name := range allNames() {
		if c, ok := cpu[name]; ok {
			s := &series{target: &target{name: name}, loaded: memory{peak: peak}, slices: map[string][]slice{}}
			if name != nameDirect {
				s.target.process = &process{}
				s.target.startup = []time.Duration{time.Millisecond}
			}
			s.target.keeps = name == nameSidecar || name == nameRedis
			use := (*redisUse)(nil)
			if name == nameRedis {
				s.target.redis = &redis{}
				use = &redisUse{CPU: 5 * time.Millisecond, EvalSHA: 990, Eval: 10, Reads: 200}
			}
			for _, w := range s.target.workloads() {
				one := sliceOf(c)
				one.Redis = use
				s.slices[w.name] = []slice{one}
			}
			b.series = append(b.series, s)
		}
	}
	return b
}

func TestTargetsAreJudged(t *testing.T) {
	tests := []struct {
		name        string
		cpu         map[string]float64
		peak        int64
		cpuR, peakR string
	}{
		{"held at the limit", map[string]float64{nameHTTPUtil: 40, nameSidecar: 40}, 25e6, pass, pass},
		{"missed", map[string]float64{nameHTTPUtil: 40, nameSidecar: 40.5}, 25e6 + 1, miss, miss},
		{"no yardstick", map[string]float64{nameSidecar: 40}, 20e6, notJudged, pass},
		{"no sidecar", map[string]float64{nameHTTPUtil: 40}, 20e6, notJudged, notJudged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := sample(tt.cpu, tt.peak)
			if v := b.judgeCPU(nameSidecar, "GET"); v.Result != tt.cpuR {
				t.Errorf("CPU: %+v", v)
			}
			if v := b.judgeMemory(nameSidecar); v.Result != tt.peakR {
				t.Errorf("memory: %+v", v)
			}
		})
	}
}

func TestReportIsEnforcedOnlyWhenAsked(t *testing.T) {
	b := sample(map[string]float64{nameDirect: 0, nameNginx: 15, nameHTTPUtil: 40, nameSidecar: 60, nameSidecarLog: 30}, 20e6)
	r := newReport(b, host{}, host{})
	var out bytes.Buffer
	if err := r.write(&out, options{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MISS       sidecar GET", "1.50 times", "PASS       sidecar-log POST", "CPU ×httputil", "start-up ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if err := r.write(&out, options{enforce: true}); !errors.Is(err, errMissed) {
		t.Errorf("enforced: %v", err)
	}
}

func TestRedisIsHeldAgainstTheSidecarWithout(t *testing.T) {
	b := sample(map[string]float64{nameSidecar: 20, nameRedis: 50}, 20e6)
	r := newReport(b, host{}, host{})
	last := r.Calls[len(r.Calls)-1]
	if last.Target != nameRedis || last.Workload != namePostKey || *last.Redis != (shared{
		VsSidecar: last.Redis.VsSidecar, CPU: 5, EvalSHA: 0.99, Eval: 0.01, RoundTrips: 0.2,
	}) || *last.Redis.VsSidecar != (ratios{CPU: 2.5, CallRate: 1, P50: 1, P99: 1}) {
		t.Fatalf("%+v", last)
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sidecar-redis ×sidecar", "0.990", "PASS       sidecar-redis POST-key: round trips to Redis per call at most 3"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestRoundTripsAreJudgedByWhatACallNeeds(t *testing.T) {
	for _, tt := range []struct {
		workload int
		reads    int64
		want     string
	}{{0, 1000, pass}, {0, 1005, pass}, {0, 1100, miss}, {1, 2000, miss}, {2, 3000, pass}, {2, 4000, miss}} {
		b := sample(map[string]float64{nameRedis: 50}, 20e6)
		w := workloads()[tt.workload]
		b.series[0].slices[w.name][0].Redis = &redisUse{Reads: tt.reads}
		if v := b.judgeRoundTrips(w); v.Result != tt.want {
			t.Errorf("%s with %d reads in 1000 calls: %+v", w.name, tt.reads, v)
		}
	}
	if v := sample(nil, 0).judgeRoundTrips(workloads()[0]); v.Result != notJudged {
		t.Errorf("without Redis: %+v", v)
	}
}

func TestReportAsJSON(t *testing.T) {
	b := sample(map[string]float64{nameDirect: 0, nameHTTPUtil: 40, nameSidecar: 20}, 20e6)
	var out bytes.Buffer
	if err := newReport(b, host{}, host{}).write(&out, options{json: true}); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Calls) != 7 || back.Calls[6].Workload != namePostKey || back.Calls[6].VsHTTPUtil != nil || back.Calls[2].CPU != 20 || back.Calls[2].VsHTTPUtil.CPU != 0.5 || back.Calls[0].VsNginx != nil {
		t.Fatalf("%+v", back.Calls)
	}
}
