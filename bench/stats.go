package main

import (
	"math"
	"slices"
)

// median is the middle value, or the mean of the two in the middle; NaN of nothing.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianOf is the median of one figure over slices.
func medianOf(all []slice, figure func(*slice) float64) float64 {
	values := make([]float64, len(all))
	for i := range all {
		values[i] = figure(&all[i])
	}
	return median(values)
}

// ratioOf divides round by round before it takes the median: what disturbed the machine in a round disturbed both.
func ratioOf(all, base []slice, figure func(*slice) float64) float64 {
	values := make([]float64, min(len(all), len(base)))
	for i := range values {
		values[i] = figure(&all[i]) / figure(&base[i])
	}
	return median(values)
}

// The figures of a slice.
func cpuPerCall(s *slice) float64 { return micros(s.CPU) / float64(s.Calls) }
func callRate(s *slice) float64   { return float64(s.Calls) / s.Elapsed.Seconds() }
func p50(s *slice) float64        { return micros(s.P50) }
func p99(s *slice) float64        { return micros(s.P99) }
func resident(s *slice) float64   { return megabytes(s.Resident) }
func redisCPU(s *slice) float64   { return micros(s.Redis.CPU) / float64(s.Calls) }
func evalSHAs(s *slice) float64   { return float64(s.Redis.EvalSHA) / float64(s.Calls) }
func evals(s *slice) float64      { return float64(s.Redis.Eval) / float64(s.Calls) }
func roundTrips(s *slice) float64 { return float64(s.Redis.Reads) / float64(s.Calls) }
func logPerCall(s *slice) float64 { return float64(s.LogBytes) / float64(s.Calls) }

func micros[D ~int64](d D) float64 { return float64(d) / 1e3 }

// megabytes are millions of bytes, the stricter reading of a limit in MB.
func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
