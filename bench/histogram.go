package main

import (
	"math/bits"
	"time"
)

// subBits is the resolution of a histogram: 2^subBits steps per power of two, an error below 0.8 %.
const subBits = 7

// histogram counts durations in steps that grow with the value, as HdrHistogram does: exact below 256 ns, then 128
// steps per power of two. Recording is two shifts and an increment, so that timing does not disturb what is timed.
type histogram struct {
	counts []uint64
	total  uint64
	max    time.Duration
}

func newHistogram() *histogram {
	return &histogram{counts: make([]uint64, (64-subBits+1)<<subBits)}
}

// record counts one duration; a negative one counts as zero.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.counts[stepOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile returns the duration that share q (0 to 1) of the records does not exceed, to the histogram's resolution.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.total)+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(highestOf(i), h.max)
		}
	}
	return h.max
}

// stepOf keeps the highest subBits+1 bits of v: the power of two picks the group, the bits after it the step.
func stepOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// highestOf is the largest value that falls into a step.
func highestOf(step int) time.Duration {
	group := step >> subBits
	if group < 2 {
		return time.Duration(step)
	}
	shift := group - 1
	return time.Duration(uint64(step-shift<<subBits+1)<<shift - 1)
}
