package main

import "runtime"

// maxProcessors is how many processors a sidecar uses unless GOMAXPROCS says otherwise. More of them cost CPU and tail
// latency, in searching for work, and gain no throughput (docs/decisions/0007-two-processors.md).
const maxProcessors = 2

// processors is the number to use: of those available, or what GOMAXPROCS, when set, has made them.
func processors(available int, gomaxprocs string) int {
	if gomaxprocs != "" {
		return available
	}
	return min(available, maxProcessors)
}

func limitProcessors(getenv func(string) string) {
	if available := runtime.GOMAXPROCS(0); processors(available, getenv("GOMAXPROCS")) < available {
		runtime.GOMAXPROCS(maxProcessors)
	}
}
