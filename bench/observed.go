package main

import "io"

// printObserved holds everything that observes, at 1 %, against nothing of it.
func (r *report) printObserved(w io.Writer) error {
	var table *table
	for _, c := range r.Calls {
		if c.Target != nameObserved || c.VsSidecar == nil {
			continue
		}
		if table == nil {
			table = newTable(w, c.Target+" ×"+nameSidecar, "CPU", "calls/s", "p50", "p99")
		}
		v := c.VsSidecar
		table.row(c.Workload, number("%.2f", v.CPU), number("%.2f", v.CallRate), number("%.2f", v.P50), number("%.2f", v.P99))
	}
	if table == nil {
		return nil
	}
	return table.flush()
}

// judgeObserved holds the cost of spans and log lines of one call in a hundred against the target.
func (b *bench) judgeObserved(workload string) verdict {
	text := nameObserved + " " + workload + ": CPU per call at most 1.10 times that without spans and log"
	s := b.find(nameObserved)
	if s == nil || b.find(nameSidecar) == nil {
		return verdict{Result: notJudged, Text: text}
	}
	ratio := b.compare(s, nameSidecar, workload).CPU
	return held(ratio, maxObservedRatio, text+": "+number("%.2f", ratio))
}
