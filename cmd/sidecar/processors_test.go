package main

import "testing"

func TestProcessors(t *testing.T) {
	for _, c := range []struct {
		available  int
		gomaxprocs string
		want       int
	}{{1, "", 1}, {2, "", 2}, {64, "", 2}, {64, "64", 64}, {4, "4", 4}} {
		if got := processors(c.available, c.gomaxprocs); got != c.want {
			t.Errorf("%d available, GOMAXPROCS %q: %d, want %d", c.available, c.gomaxprocs, got, c.want)
		}
	}
}
