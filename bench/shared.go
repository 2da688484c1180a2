package main

import "io"

// shared is what it costs under one workload to keep the state in Redis: medians over the rounds.
type shared struct {
	VsSidecar  *ratios `json:"vs_sidecar,omitempty"` // whose state is its own
	CPU        float64 `json:"redis_cpu_us_per_call"`
	EvalSHA    float64 `json:"evalsha_per_call"`
	Eval       float64 `json:"eval_per_call"`
	RoundTrips float64 `json:"round_trips_per_call"`
}

// newShared is nil for a target without Redis.
func (b *bench) newShared(s *series, workload string) *shared {
	if s.target.redis == nil {
		return nil
	}
	all := s.slices[workload]
	return &shared{
		VsSidecar: b.compare(s, nameSidecar, workload), CPU: medianOf(all, redisCPU),
		EvalSHA: medianOf(all, evalSHAs), Eval: medianOf(all, evals), RoundTrips: medianOf(all, roundTrips),
	}
}

// printShared holds the target with Redis against the one without.
func (r *report) printShared(w io.Writer) error {
	var table *table
	for _, c := range r.Calls {
		if c.Redis == nil {
			continue
		}
		if table == nil {
			table = newTable(w, c.Target+" ×"+nameSidecar, "CPU", "calls/s", "p50", "p99",
				"redis-server CPU µs/call", "evalsha/call", "eval/call", "round trips/call")
		}
		v := c.Redis.VsSidecar
		if v == nil {
			v = &ratios{}
		}
		table.row(c.Workload, number("%.2f", v.CPU), number("%.2f", v.CallRate), number("%.2f", v.P50), number("%.2f", v.P99),
			number("%.1f", c.Redis.CPU), number("%.3f", c.Redis.EvalSHA), number("%.3f", c.Redis.Eval), number("%.3f", c.Redis.RoundTrips))
	}
	if table == nil {
		return nil
	}
	return table.flush()
}
