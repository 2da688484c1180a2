package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramStepsCoverEveryValueInOrder(t *testing.T) {
	last := -1
	for v := uint64(0); v < 1<<16; v++ {
		step := stepOf(v)
		if step != last && step != last+1 {
			t.Fatalf("step of %d is %d after %d", v, step, last)
		}
		if high := uint64(highestOf(step)); high < v || float64(high-v) > float64(v)/128 {
			t.Fatalf("value %d is reported as %d", v, high)
		}
		last = step
	}
}

func TestHistogramTakesTheLargestDuration(t *testing.T) {
	h := newHistogram()
	h.record(time.Duration(1<<63 - 1))
	h.record(-time.Second)
	if h.total != 2 || h.quantile(0) != 0 || h.quantile(1) != 1<<63-1 {
		t.Fatalf("total %d, quantiles %d and %d", h.total, h.quantile(0), h.quantile(1))
	}
}

func TestHistogramQuantilesAgreeWithSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	a, b := newHistogram(), newHistogram()
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			a.record(d)
		} else {
			b.record(d)
		}
	}
	a.merge(b)
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))-1]
		got := a.quantile(q)
		if got < want || float64(got) > float64(want)*1.01 {
			t.Errorf("quantile %v: got %v, sorted %v", q, got, want)
		}
	}
	if a.quantile(1) != all[len(all)-1] {
		t.Errorf("largest: got %v, sorted %v", a.quantile(1), all[len(all)-1])
	}
}

func TestEmptyHistogram(t *testing.T) {
	if q := newHistogram().quantile(0.5); q != 0 {
		t.Fatalf("quantile of nothing is %v", q)
	}
}
